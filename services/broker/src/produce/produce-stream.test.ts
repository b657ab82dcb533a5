import { createConnector } from '@barnabas/rpc';
import { v1 } from '@barnabas/protocol';
import {
  Recorded,
  batchEntry,
  batchOf,
  errorCodeOf,
  eventually,
  produceRequest,
  recordsEntry,
} from '../test-kit/requests.js';
import { TestBroker } from '../test-kit/test-broker.js';

const KiB = 1024;

let broker: TestBroker;

afterEach(() => broker.stop());

type Answers = Recorded<v1.ProduceStreamResponse, v1.ProduceStreamRequest>;

function open(log = broker.log): Answers {
  return new Recorded(log.produceStream());
}

function send(answers: Answers, correlationId: number, request: v1.ProduceRequest | undefined): boolean {
  return answers.stream.write({ correlationId, request, answerEarly: false });
}

const answerTo = (answers: Answers, correlationId: number) =>
  answers.find((message) => message.correlationId === correlationId);

async function endOf(topic: string): Promise<number | undefined> {
  const spec = { $case: 'latest' as const, latest: true };
  const request = v1.ListOffsetsRequest.create({ entries: [{ topic, partition: 0, spec }] });
  return (await broker.log.listOffsets(request)).results[0]?.offset;
}

describe('ProduceStream', () => {
  beforeEach(async () => {
    broker = await TestBroker.start();
    await broker.topic('orders');
  });

  it('appends in the order sent, also before the log is open, and answers under correlation ids', async () => {
    const answers = open();
    for (let id = 0; id < 20; id++) send(answers, id, produceRequest([recordsEntry('orders', ['a', 'b'])]));
    for (let id = 0; id < 20; id++) {
      const { response } = await answerTo(answers, id);
      expect(response?.results[0]).toMatchObject({ baseOffset: id * 2, error: undefined });
    }
    answers.stream.end();
    expect(await answers.end()).toBeUndefined();
  });

  it('answers a request that it refuses, and goes on', async () => {
    const answers = open();
    send(answers, 1, undefined);
    send(answers, 2, produceRequest([]));
    send(answers, 3, produceRequest([batchEntry('orders', Buffer.from('no batch'))]));
    send(answers, 4, produceRequest([recordsEntry('orders', ['a'])]));
    const good = await answerTo(answers, 4);
    expect(good.response?.results[0]).toMatchObject({ baseOffset: 0, error: undefined });
    expect(errorCodeOf((await answerTo(answers, 1)).error)).toBe('INVALID_REQUEST');
    expect(errorCodeOf((await answerTo(answers, 2)).error)).toBe('INVALID_REQUEST');
    const bad = await answerTo(answers, 3);
    expect(bad.error).toBeUndefined();
    expect(errorCodeOf(bad.response?.results[0]?.error)).toBe('CORRUPT_MESSAGE');
  });

  it('answers the entries that are done while others wait for replicas, if the client takes that', async () => {
    broker.controller.createTopic('waiting', [{ leader: 1, replicas: [1, 2], isr: [1, 2] }]);
    await broker.caughtUp();
    const answers = open();
    const request = produceRequest([recordsEntry('waiting', ['a']), recordsEntry('orders', ['b'])]);
    answers.stream.write({ correlationId: 1, request, answerEarly: true });
    const { response, more } = await answerTo(answers, 1);
    expect(more).toBe(true);
    expect(response?.results).toMatchObject([{ entry: 1, topic: 'orders', baseOffset: 0, error: undefined }]);
  });

  it('does not answer acks=none, whatever becomes of it', async () => {
    const answers = open();
    send(answers, 1, produceRequest([recordsEntry('orders', ['a'])], v1.Acks.NONE));
    send(answers, 2, produceRequest([recordsEntry('missing', ['a'])], v1.Acks.NONE));
    send(answers, 3, produceRequest([], v1.Acks.NONE));
    send(answers, 4, produceRequest([recordsEntry('orders', ['b'])]));
    expect((await answerTo(answers, 4)).response?.results[0]?.baseOffset).toBe(1);
    answers.stream.end();
    await answers.end();
    expect(answers.messages.map((message) => message.correlationId)).toEqual([4]);
  });

  it('answers everything before it ends after the client has', async () => {
    const answers = open();
    for (let id = 0; id < 5; id++) send(answers, id, produceRequest([recordsEntry('orders', ['a'])]));
    answers.stream.end();
    expect(await answers.end()).toBeUndefined();
    expect(answers.messages).toHaveLength(5);
  });

  it('keeps what a client sent whole before it went away in the middle', async () => {
    const answers = open();
    send(answers, 1, produceRequest([recordsEntry('orders', ['a'])]));
    await answerTo(answers, 1);
    send(answers, 2, produceRequest([recordsEntry('orders', ['b'])]));
    await eventually(() => broker.metrics.total('barnabas_messages_in_total') === 2, 'the second is appended');
    answers.stream.cancel();
    await answers.end();
    expect(await endOf('orders')).toBe(2);
    const { results } = await broker.log.produce(produceRequest([recordsEntry('orders', ['c'])]));
    expect(results[0]).toMatchObject({ baseOffset: 2, error: undefined });
    expect(broker.metrics.sample('barnabas_queued_request_bytes')).toBe(0);
  });

  it('survives a client that breaks its call off over gRPC', async () => {
    const connector = createConnector();
    const channel = connector.channel(await broker.serveGrpc());
    const answers = open(channel.client(v1.LogServiceDefinition));
    send(answers, 1, produceRequest([recordsEntry('orders', ['a'])]));
    await answerTo(answers, 1);
    send(answers, 2, produceRequest([batchEntry('orders', batchOf([Buffer.alloc(500 * KiB)]))]));
    answers.stream.cancel();
    expect(await answers.end()).toBeDefined();
    connector.close();
    const { results } = await broker.log.produce(produceRequest([recordsEntry('orders', ['c'])]));
    expect(results[0]).toMatchObject({ error: undefined });
  });
});

describe('a slow disk', () => {
  const config = { 'queued.max.request.bytes': 400 * KiB, 'barnabas.queued.max.stream.bytes': 200 * KiB };
  const batch = () => batchOf([Buffer.alloc(10 * KiB)]);

  beforeEach(async () => {
    broker = await TestBroker.start({ config, writeHighWaterBytes: 50 * KiB });
  });

  it('stops the reading of streams: what waits stays within bounds, and nothing is lost', async () => {
    const topicId = await broker.topic('orders');
    await broker.log.produce(produceRequest([batchEntry('orders', batch())]));
    const release = broker.store(topicId).stallWrites();
    const streams = Array.from({ length: 4 }, () => open());
    const counts = streams.map(() => 0);
    // Each client goes on until it is told to wait.
    streams.forEach((answers, index) => {
      while (counts[index] !== undefined && counts[index] < 100) {
        counts[index] += 1;
        if (!send(answers, counts[index], produceRequest([batchEntry('orders', batch())]))) break;
      }
    });
    const queued = () => broker.metrics.sample('barnabas_queued_request_bytes');
    await eventually(() => queued() > 0, 'bytes wait for the disk');
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    // One message beyond the limit for each stream, and what was on its way when it was paused.
    expect(queued()).toBeLessThanOrEqual(400 * KiB + 4 * (60 * KiB));
    release();
    for (const [index, answers] of streams.entries()) {
      const { response } = await answerTo(answers, counts[index] ?? 0);
      expect(response?.results[0]?.error).toBeUndefined();
      answers.stream.end();
      await answers.end();
      expect(answers.messages).toHaveLength(counts[index] ?? 0);
    }
    expect(queued()).toBe(0);
    expect(await endOf('orders')).toBe(1 + counts.reduce((sum, count) => sum + count, 0));
  });

  it('lets one stream have no more than its share, while others go on', async () => {
    const slow = await broker.topic('slow');
    await broker.topic('orders');
    await broker.log.produce(produceRequest([batchEntry('slow', batch())]));
    const release = broker.store(slow).stallWrites();
    const greedy = open();
    for (let id = 0; id < 100; id++) send(greedy, id, produceRequest([batchEntry('slow', batch())]));
    await eventually(
      () => broker.metrics.sample('barnabas_queued_request_bytes') > 200 * KiB,
      'the greedy stream has its share',
    );
    const other = open();
    send(other, 1, produceRequest([batchEntry('orders', batch())]));
    expect((await answerTo(other, 1)).response?.results[0]).toMatchObject({ baseOffset: 0, error: undefined });
    expect(broker.metrics.sample('barnabas_queued_request_bytes')).toBeLessThanOrEqual(200 * KiB + 60 * KiB);
    release();
    await answerTo(greedy, 99);
    greedy.stream.cancel();
    other.stream.cancel();
  });

  it('stops the reading of a client that does not read its answers', async () => {
    await broker.topic('orders');
    const answers = open();
    answers.stream.pause();
    const request = produceRequest(Array.from({ length: 500 }, () => recordsEntry('missing', ['a'])));
    let sent = 0;
    while (sent < 200 && send(answers, sent, request)) {
      sent += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sent).toBeLessThan(200);
    answers.stream.resume();
    await answerTo(answers, sent);
    answers.stream.cancel();
  });
});
