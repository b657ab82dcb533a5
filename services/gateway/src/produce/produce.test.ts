import { partitionForKey } from '@barnabas/client';
import { deferred } from '@barnabas/common';
import { BarnabasError, decodeRecords, ERRORS, v1 } from '@barnabas/protocol';
import type { ErrorName } from '@barnabas/protocol';
import {
  batchEntry,
  batchOf,
  eventually,
  Inbox,
  recordsEntry,
  request,
  settled,
  TestCluster,
} from '../test-kit/index.js';

const code = (name: ErrorName) => ERRORS[name].code;
const codes = (response: v1.ProduceResponse) => response.results.map(({ error }) => error?.code ?? 0);

let cluster: TestCluster;
afterEach(() => cluster.close());

async function twoBrokers(config: Record<string, unknown> = {}): Promise<void> {
  cluster = await new TestCluster(config).start(2);
  cluster.controller.createTopic('clicks', [1, 2]);
}

describe('batches', () => {
  test('go to the leaders of their partitions, byte for byte', async () => {
    await twoBrokers();
    const batch = batchOf('a', 'b');
    const response = await cluster.log.produce(request(batchEntry('clicks', 0, batch), batchEntry('clicks', 1, batch)));
    expect(response.results).toMatchObject([
      { entry: 0, topic: 'clicks', partition: 0, baseOffset: 0, recordIndexes: [] },
      { entry: 1, topic: 'clicks', partition: 1, baseOffset: 0, recordIndexes: [] },
    ]);
    expect(codes(response)).toEqual([0, 0]);
    expect(cluster.broker(1).values('clicks', 0)).toEqual(['a', 'b']);
    expect(cluster.broker(2).values('clicks', 1)).toEqual(['a', 'b']);
    expect(cluster.broker(1).values('clicks', 1)).toEqual([]);
  });

  test('of one stream keep their order in a partition, through refusals and a move of the leader', async () => {
    await twoBrokers();
    let refusals = 3;
    cluster.broker(1).refuse = () =>
      refusals-- > 0 ? new BarnabasError('NOT_LEADER_OR_FOLLOWER', 'not yet') : undefined;
    const inbox = new Inbox(cluster.log.produceStream());
    const sent = Array.from({ length: 50 }, (_, index) => `value ${index}`);
    sent.forEach((value, index) =>
      inbox.stream.write({
        correlationId: index,
        answerEarly: false,
        request: request(batchEntry('clicks', 0, batchOf(value))),
      }),
    );
    await inbox.until(() => inbox.messages.length === sent.length);
    inbox.stream.end();
    expect(await inbox.closed).toBeUndefined();
    expect(inbox.messages.map(({ error }) => error)).toEqual(sent.map(() => undefined));
    expect(inbox.messages.flatMap(({ response }) => (response === undefined ? [-1] : codes(response)))).toEqual(
      sent.map(() => 0),
    );
    expect(cluster.broker(1).values('clicks', 0)).toEqual(sent);
  });

  test('wait for a leader and go to the new one', async () => {
    await twoBrokers();
    cluster.controller.moveLeader('clicks', 0, -1);
    const answer = cluster.log.produce(request(batchEntry('clicks', 0, batchOf('x'))));
    await settled();
    cluster.controller.moveLeader('clicks', 0, 2);
    expect(codes(await answer)).toEqual([0]);
    expect(cluster.broker(2).values('clicks', 0)).toEqual(['x']);
  });

  test('of records are as small as the configuration says, down to none at all', async () => {
    await twoBrokers({ 'message.max.bytes': 0 });
    const response = await cluster.log.produce(request(recordsEntry('clicks', ['a'], { partition: 0 })));
    expect(codes(response)).toEqual([code('MESSAGE_TOO_LARGE')]);
  });

  test('fail with REQUEST_TIMED_OUT when nobody leads in time', async () => {
    await twoBrokers();
    cluster.controller.moveLeader('clicks', 0, -1);
    const response = await cluster.log.produce({ ...request(batchEntry('clicks', 0, batchOf('x'))), timeoutMs: 50 });
    expect(codes(response)).toEqual([code('REQUEST_TIMED_OUT')]);
  });

  test('fail at once with what trying again does not mend', async () => {
    await twoBrokers();
    cluster.broker(1).refuse = () => new BarnabasError('MESSAGE_TOO_LARGE', 'too large');
    const response = await cluster.log.produce(request(batchEntry('clicks', 0, batchOf('x'))));
    expect(codes(response)).toEqual([code('MESSAGE_TOO_LARGE')]);
    expect(response.results[0]).toMatchObject({ baseOffset: -1, logStartOffset: -1, partition: 0 });
  });

  test('without idempotence are not sent twice when it is unknown whether they were appended', async () => {
    await twoBrokers();
    const broker = cluster.broker(1);
    broker.hold();
    const answer = cluster.log.produce(request(batchEntry('clicks', 0, batchOf('once'))));
    await eventually(() => broker.values('clicks', 0).length === 1);
    cluster.kill(broker);
    expect(codes(await answer)).toEqual([code('NETWORK_EXCEPTION')]);
    cluster.revive(broker);
    await settled();
    expect(broker.values('clicks', 0)).toEqual(['once']);
  });

  test('with acks 0 are not answered on a stream', async () => {
    await twoBrokers();
    const inbox = new Inbox(cluster.log.produceStream());
    const unanswered = { ...request(batchEntry('clicks', 0, batchOf('quiet'))), acks: v1.Acks.NONE };
    inbox.stream.write({ correlationId: 1, answerEarly: false, request: unanswered });
    inbox.stream.write({ correlationId: 2, answerEarly: false, request: { ...unanswered, entries: [] } });
    inbox.stream.write({
      correlationId: 3,
      answerEarly: false,
      request: request(batchEntry('clicks', 0, batchOf('loud'))),
    });
    await inbox.until(() => inbox.messages.length === 1);
    inbox.stream.end();
    await inbox.closed;
    expect(inbox.messages.map(({ correlationId }) => correlationId)).toEqual([3]);
    await eventually(() => cluster.broker(1).values('clicks', 0).length === 2);
  });
});

describe('records', () => {
  test('are batched, and go by key as Kafka’s clients send them', async () => {
    cluster = await new TestCluster().start(1);
    cluster.controller.createTopic('orders', [1, 1, 1, 1]);
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => Buffer.from(key));
    const records = keys.map((key) => v1.Record.create({ key, value: key }));
    const entry = {
      topic: 'orders',
      partition: undefined,
      payload: { $case: 'records' as const, records: { records } },
    };
    const response = await cluster.log.produce(request(entry));
    expect(codes(response).every((each) => each === 0)).toBe(true);
    for (const { partition, recordIndexes } of response.results) {
      for (const index of recordIndexes) expect(partitionForKey(keys[index] as Buffer, 4)).toBe(partition);
    }
    const placed = response.results.flatMap(({ recordIndexes }) => recordIndexes);
    expect(placed.sort()).toEqual(keys.map((_, index) => index));
    for (const [partition] of [0, 1, 2, 3].entries()) {
      for (const value of cluster.broker(1).values('orders', partition)) {
        expect(partitionForKey(Buffer.from(value), 4)).toBe(partition);
      }
    }
  });

  test('keep null, headers and timestamps, and stay in order in the partition they name', async () => {
    await twoBrokers();
    const headers = [
      { key: 'h', value: Buffer.from('1') },
      { key: 'h', value: undefined },
    ];
    const records = [
      v1.Record.create({ value: Buffer.from('first'), headers, timestampMs: 1234 }),
      v1.Record.create({ key: Buffer.from('k') }),
      v1.Record.create({ value: Buffer.from('last') }),
    ];
    const entry = { topic: 'clicks', partition: 1, payload: { $case: 'records' as const, records: { records } } };
    const response = await cluster.log.produce(request(entry));
    expect(response.results).toMatchObject([
      { entry: 0, partition: 1, baseOffset: 0, recordIndexes: [], error: undefined },
    ]);
    const stored = cluster
      .broker(2)
      .partition('clicks', 1)
      .batches.flatMap(({ bytes }) => decodeRecords(bytes));
    expect(stored.map(({ value }) => value && Buffer.from(value).toString())).toEqual(['first', null, 'last']);
    expect(stored[0]?.timestamp).toBe(1234);
    expect(stored[0]?.headers.map(({ key, value }) => [key, value && Buffer.from(value).toString()])).toEqual([
      ['h', '1'],
      ['h', null],
    ]);
    expect(stored[2]?.timestamp).toBeGreaterThan(1_600_000_000_000);
  });

  test('of many callers share batches', async () => {
    await twoBrokers();
    const broker = cluster.broker(1);
    await cluster.log.produce(request(recordsEntry('clicks', ['warm up'], { partition: 0 })));
    const before = broker.partition('clicks', 0).batches.length;
    const calls = Array.from({ length: 200 }, (_, index) =>
      cluster.log.produce(request(recordsEntry('clicks', [`${index}`], { partition: 0 }))),
    );
    const responses = await Promise.all(calls);
    expect(responses.flatMap(codes)).toEqual(calls.map(() => 0));
    expect(broker.partition('clicks', 0).batches.length - before).toBeLessThan(50);
    expect(broker.values('clicks', 0).slice(1)).toEqual(calls.map((_, index) => `${index}`));
  });

  test('without a key go to one partition for a while', async () => {
    cluster = await new TestCluster().start(1);
    cluster.controller.createTopic('logs', [1, 1, 1]);
    const { results } = await cluster.log.produce(request(recordsEntry('logs', ['a', 'b', 'c'])));
    expect(results).toHaveLength(1);
  });

  test('tell the leader’s time where it stamps them, and only there', async () => {
    await twoBrokers();
    const own = await cluster.log.produce(request(recordsEntry('clicks', ['a'], { partition: 0 })));
    cluster.broker(1).logAppendTimeMs = 777;
    const stamped = await cluster.log.produce(request(recordsEntry('clicks', ['b'], { partition: 0 })));
    expect([...own.results, ...stamped.results].map(({ logAppendTimeMs }) => logAppendTimeMs)).toEqual([-1, 777]);
  });

  test('are answered with REQUEST_TIMED_OUT when the client’s time is over', async () => {
    await twoBrokers();
    cluster.broker(1).hold();
    const response = await cluster.log.produce({
      ...request(recordsEntry('clicks', ['late'], { partition: 0 })),
      timeoutMs: 50,
    });
    expect(codes(response)).toEqual([code('REQUEST_TIMED_OUT')]);
    cluster.broker(1).release();
  });

  test('create their topic where the cluster allows it, in the order of the stream', async () => {
    cluster = await new TestCluster().start(1);
    cluster.controller.autoCreate = (name) => cluster.controller.createTopic(name, [1]);
    const inbox = new Inbox(cluster.log.produceStream());
    for (const value of ['a', 'b', 'c']) {
      inbox.stream.write({
        correlationId: 1,
        answerEarly: false,
        request: request(batchEntry('fresh', 0, batchOf(value))),
      });
    }
    await inbox.until(() => inbox.messages.length === 3);
    inbox.stream.end();
    await inbox.closed;
    expect(cluster.broker(1).values('fresh', 0)).toEqual(['a', 'b', 'c']);
  });
});

describe('a topic that is being created', () => {
  test('takes what comes meanwhile in its turn, also when the log shows the topic before the answer', async () => {
    cluster = await new TestCluster().start(1);
    const answered = deferred<void>();
    cluster.controller.autoCreate = (name) => cluster.controller.createTopic(name, [1]);
    cluster.controller.autoCreateAnswer = answered.promise;
    const inbox = new Inbox(cluster.log.produceStream());
    const send = (value: string) =>
      inbox.stream.write({
        correlationId: 1,
        answerEarly: false,
        request: request(batchEntry('fresh', 0, batchOf(value))),
      });
    send('first');
    const known = { topics: [], allowAutoTopicCreation: false, brokersOnly: false };
    while ((await cluster.metadata.getMetadata(known)).topics.length === 0) await settled();
    send('second');
    await settled();
    answered.resolve();
    await inbox.until(() => inbox.messages.length === 2);
    expect(cluster.broker(1).values('fresh', 0)).toEqual(['first', 'second']);
    inbox.stream.cancel();
  });

  test('lets requests go as soon as it is there, not one after the other', async () => {
    cluster = await new TestCluster().start(1);
    const broker = cluster.broker(1);
    broker.hold();
    cluster.controller.autoCreate = (name) => cluster.controller.createTopic(name, [1, 1]);
    const inbox = new Inbox(cluster.log.produceStream());
    for (const partition of [0, 1]) {
      inbox.stream.write({
        correlationId: 1,
        answerEarly: false,
        request: request(batchEntry('fresh', partition, batchOf('x'))),
      });
    }
    // Nothing has been answered, and both are there.
    await eventually(() => broker.values('fresh', 0).length === 1 && broker.values('fresh', 1).length === 1);
    broker.release();
    await inbox.until(() => inbox.messages.length === 2);
    inbox.stream.cancel();
  });
});

describe('bad requests', () => {
  test.each<[string, v1.ProduceEntry, ErrorName]>([
    ['an unknown topic', batchEntry('nowhere', 0, batchOf('x')), 'UNKNOWN_TOPIC_OR_PARTITION'],
    ['an illegal name', batchEntry('a/b', 0, batchOf('x')), 'INVALID_TOPIC_EXCEPTION'],
    ['an empty name', recordsEntry('', ['x']), 'INVALID_TOPIC_EXCEPTION'],
    ['a name that is too long', recordsEntry('x'.repeat(250), ['x']), 'INVALID_TOPIC_EXCEPTION'],
    ['a partition that is not there', batchEntry('clicks', 9, batchOf('x')), 'UNKNOWN_TOPIC_OR_PARTITION'],
    ['a negative partition', batchEntry('clicks', -1, batchOf('x')), 'UNKNOWN_TOPIC_OR_PARTITION'],
    ['a batch without a partition', batchEntry('clicks', undefined, batchOf('x')), 'INVALID_REQUEST'],
    ['a batch of nothing', batchEntry('clicks', 0, Buffer.alloc(0)), 'INVALID_REQUEST'],
    [
      'bytes that are no batch',
      batchEntry('clicks', 0, Buffer.from('not a batch at all, but long enough to be one, perhaps?')),
      'CORRUPT_MESSAGE',
    ],
    ['a batch cut short', batchEntry('clicks', 0, batchOf('x').subarray(0, 64)), 'CORRUPT_MESSAGE'],
    ['no payload', { topic: 'clicks', partition: 0, payload: undefined }, 'INVALID_REQUEST'],
    ['no records', recordsEntry('clicks', []), 'INVALID_REQUEST'],
    [
      'a leader epoch of the future',
      { ...batchEntry('clicks', 0, batchOf('x')), currentLeaderEpoch: 9 },
      'UNKNOWN_LEADER_EPOCH',
    ],
    ['a record that is too large', recordsEntry('clicks', ['x'.repeat(1_100_000)]), 'MESSAGE_TOO_LARGE'],
  ])('%s fails its entry alone', async (_what, bad, name) => {
    await twoBrokers();
    const response = await cluster.log.produce(request(bad, batchEntry('clicks', 0, batchOf('good'))));
    expect(codes(response)).toEqual([code(name), 0]);
    expect(response.results[0]?.error?.message).not.toBe('');
    expect(cluster.broker(1).values('clicks', 0)).toEqual(['good']);
  });

  test.each<[string, v1.ProduceRequest, ErrorName]>([
    ['no entries', request(), 'INVALID_REQUEST'],
    [
      'too many entries',
      request(...new Array<v1.ProduceEntry>(10_001).fill(batchEntry('clicks', 0, batchOf('x')))),
      'INVALID_REQUEST',
    ],
    ['a negative timeout', { ...request(batchEntry('clicks', 0, batchOf('x'))), timeoutMs: -1 }, 'INVALID_REQUEST'],
    [
      'acks of no kind',
      { ...request(batchEntry('clicks', 0, batchOf('x'))), acks: 7 as v1.Acks },
      'INVALID_REQUIRED_ACKS',
    ],
    ['too many records', request(recordsEntry('clicks', new Array<string>(11).fill('x'))), 'INVALID_REQUEST'],
    ['too many bytes', request(recordsEntry('clicks', ['x'.repeat(2_000_000)])), 'RECORD_LIST_TOO_LARGE'],
  ])('%s refuses the whole, unary and on a stream that goes on', async (_what, bad, name) => {
    await twoBrokers({ 'barnabas.request.max.records': 10, 'socket.request.max.bytes': 1_500_000 });
    await expect(cluster.log.produce(bad)).rejects.toMatchObject({ errorName: name });
    const inbox = new Inbox(cluster.log.produceStream());
    inbox.stream.write({ correlationId: 7, answerEarly: false, request: bad });
    inbox.stream.write({ correlationId: 8, answerEarly: false, request: undefined });
    inbox.stream.write({
      correlationId: 9,
      answerEarly: false,
      request: request(batchEntry('clicks', 0, batchOf('after'))),
    });
    await inbox.until(() => inbox.messages.length === 3);
    expect(inbox.messages.map(({ correlationId, error }) => [correlationId, error?.code])).toEqual([
      [7, code(name)],
      [8, code('INVALID_REQUEST')],
      [9, undefined],
    ]);
    inbox.stream.cancel();
  });

  test('a client that goes away in the middle leaves what it sent whole', async () => {
    await twoBrokers();
    const log = await cluster.overGrpc();
    const broker = cluster.broker(1);
    broker.hold();
    const inbox = new Inbox(log.produceStream());
    for (let index = 0; index < 3; index += 1) {
      inbox.stream.write({
        correlationId: index,
        answerEarly: false,
        request: request(batchEntry('clicks', 0, batchOf(`${index}`))),
      });
    }
    await eventually(() => broker.values('clicks', 0).length > 0);
    inbox.stream.cancel();
    await inbox.closed;
    broker.release();
    await eventually(() => broker.values('clicks', 0).length === 3);
    const response = await log.produce(request(batchEntry('clicks', 0, batchOf('next'))));
    expect(codes(response)).toEqual([0]);
  });
});

describe('back-pressure', () => {
  test('a stream whose bytes are not written is not read from, and goes on when they are', async () => {
    await twoBrokers({ 'barnabas.queued.max.stream.bytes': 200_000 });
    const broker = cluster.broker(1);
    broker.hold();
    const inbox = new Inbox(cluster.log.produceStream());
    const batch = batchOf(Buffer.alloc(50_000));
    const total = 100;
    let refusedAt = -1;
    for (let index = 0; index < total; index += 1) {
      const isTaken = inbox.stream.write({
        correlationId: index,
        answerEarly: false,
        request: request(batchEntry('clicks', 0, batch)),
      });
      if (!isTaken && refusedAt < 0) refusedAt = index;
      await settled();
      if (refusedAt >= 0) break;
    }
    // One stream's share at the gateway, and one transport's buffer: the writer was told to stop.
    expect(refusedAt).toBeGreaterThan(0);
    expect(refusedAt).toBeLessThan(40);
    const samples = await cluster.metrics.expose();
    const queued = Number(/barnabas_gateway_queued_request_bytes (\d+)/.exec(samples)?.[1]);
    expect(queued).toBeGreaterThan(200_000);
    expect(queued).toBeLessThan(350_000);
    broker.release();
    await inbox.until(() => inbox.messages.length === refusedAt + 1);
    inbox.stream.end();
    expect(await inbox.closed).toBeUndefined();
  });

  test('a call is refused while too much of all clients is on its way', async () => {
    await twoBrokers({ 'queued.max.request.bytes': 100_000 });
    const broker = cluster.broker(1);
    broker.hold();
    const batch = batchOf(Buffer.alloc(120_000));
    const first = cluster.log.produce(request(batchEntry('clicks', 0, batch)));
    await eventually(() => broker.values('clicks', 0).length === 1);
    await expect(cluster.log.produce(request(batchEntry('clicks', 0, batch)))).rejects.toMatchObject({
      errorName: 'THROTTLING_QUOTA_EXCEEDED',
    });
    broker.release();
    expect(codes(await first)).toEqual([0]);
    expect(codes(await cluster.log.produce(request(batchEntry('clicks', 0, batch))))).toEqual([0]);
  });

  test('a stop answers what was taken in, and then ends the stream', async () => {
    await twoBrokers();
    const broker = cluster.broker(1);
    broker.hold();
    const inbox = new Inbox(cluster.log.produceStream());
    inbox.stream.write({
      correlationId: 1,
      answerEarly: false,
      request: request(batchEntry('clicks', 0, batchOf('last'))),
    });
    await eventually(() => broker.values('clicks', 0).length === 1);
    const stopped = cluster.gateway.stop(10_000);
    await settled();
    broker.release();
    expect(await inbox.closed).toBeUndefined();
    expect(inbox.messages).toHaveLength(1);
    await stopped;
    await expect(cluster.log.produce(request(batchEntry('clicks', 0, batchOf('late'))))).rejects.toMatchObject({
      errorName: 'BROKER_NOT_AVAILABLE',
    });
    expect((await new Inbox(cluster.log.fetch()).closed)?.errorName).toBe('BROKER_NOT_AVAILABLE');
  });

  test('a stop does not wait beyond its grace', async () => {
    await twoBrokers();
    cluster.broker(1).hold();
    const inbox = new Inbox(cluster.log.produceStream());
    inbox.stream.write({
      correlationId: 1,
      answerEarly: false,
      request: request(batchEntry('clicks', 0, batchOf('x'))),
    });
    inbox.stream.write({
      correlationId: 2,
      answerEarly: false,
      request: request(recordsEntry('clicks', ['y'], { partition: 0 })),
    });
    await eventually(() => cluster.broker(1).values('clicks', 0).length === 2);
    await cluster.gateway.stop(30);
    expect(await inbox.closed).toBeUndefined();
    const answered = inbox.messages.map(({ correlationId, response }) => [
      correlationId,
      codes(response ?? { results: [] }),
    ]);
    expect(answered.sort()).toEqual([
      [1, [code('NETWORK_EXCEPTION')]],
      [2, [code('REQUEST_TIMED_OUT')]],
    ]);
  });
});
