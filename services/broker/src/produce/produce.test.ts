import { setProducerState, v1 } from '@barnabas/protocol';
import { TestBroker } from '../test-kit/test-broker.js';
import { batchEntry, batchOf, errorCodeOf, eventually, produceRequest, recordsEntry } from '../test-kit/requests.js';

let broker: TestBroker;

beforeEach(async () => {
  broker = await TestBroker.start();
});
afterEach(() => broker.stop());

/** The error of the one entry of a request. */
async function refusalOf(entry: v1.ProduceEntry, acks = v1.Acks.ALL): Promise<string | undefined> {
  const { results } = await broker.log.produce(produceRequest([entry], acks));
  expect(results).toHaveLength(1);
  expect(results[0]).toMatchObject({ entry: 0, baseOffset: -1, logStartOffset: -1 });
  return errorCodeOf(results[0]?.error);
}

async function endOf(topic: string, partition = 0): Promise<number | undefined> {
  const spec = { $case: 'latest' as const, latest: true };
  const { results } = await broker.log.listOffsets(
    v1.ListOffsetsRequest.create({ entries: [{ topic, partition, spec }] }),
  );
  return results[0]?.offset;
}

describe('Produce', () => {
  it('appends batches and records, and answers with their offsets', async () => {
    await broker.topic('orders');
    const first = await broker.log.produce(produceRequest([batchEntry('orders', batchOf(['a', 'b']))]));
    expect(first.results).toEqual([
      {
        entry: 0,
        topic: 'orders',
        partition: 0,
        baseOffset: 0,
        logAppendTimeMs: -1,
        logStartOffset: 0,
        error: undefined,
        recordIndexes: [],
      },
    ]);
    const second = await broker.log.produce(produceRequest([recordsEntry('orders', ['c'])], v1.Acks.LEADER));
    expect(second.results[0]).toMatchObject({ baseOffset: 2, error: undefined });
    expect(await endOf('orders')).toBe(3);
  });

  it('leaves the batches of a caller in this process as they were', async () => {
    await broker.topic('orders');
    // In memory of its own, which the log would keep if it came over the network.
    const batch = Buffer.from(new Uint8Array(batchOf(['a', 'b'])).buffer);
    const before = Buffer.from(batch);
    for (const baseOffset of [0, 2]) {
      const { results } = await broker.log.produce(produceRequest([batchEntry('orders', batch)]));
      expect(results[0]).toMatchObject({ baseOffset });
    }
    expect(batch.equals(before)).toBe(true);
  });

  it('takes many partitions, and one of them twice, and answers each entry for itself', async () => {
    await broker.topic('orders', 2);
    const { results } = await broker.log.produce(
      produceRequest([
        batchEntry('orders', batchOf(['a']), 1),
        batchEntry('missing', batchOf(['b'])),
        batchEntry('orders', batchOf(['c', 'd']), 0),
        batchEntry('orders', batchOf(['e']), 1),
      ]),
    );
    expect(results.map((result) => [result.entry, result.partition, result.baseOffset])).toEqual([
      [0, 1, 0],
      [1, 0, -1],
      [2, 0, 0],
      [3, 1, 1],
    ]);
    expect(errorCodeOf(results[1]?.error)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });

  it('answers acks=none without offsets, once the batch is in line for the disk', async () => {
    await broker.topic('orders');
    const { results } = await broker.log.produce(produceRequest([batchEntry('orders', batchOf(['a']))], v1.Acks.NONE));
    expect(results[0]).toMatchObject({ baseOffset: -1, logStartOffset: -1, error: undefined });
    const again = await broker.log.produce(produceRequest([batchEntry('orders', batchOf(['b']))]));
    expect(again.results[0]?.baseOffset).toBe(1);
  });

  it('answers a retry of an idempotent producer with the first offsets', async () => {
    await broker.topic('orders');
    const batch = batchOf(['a', 'b'], { producerId: 7, producerEpoch: 0, baseSequence: 0 });
    const once = await broker.log.produce(produceRequest([batchEntry('orders', batch)]));
    const twice = await broker.log.produce(produceRequest([batchEntry('orders', batch)]));
    expect(once.results[0]).toMatchObject({ baseOffset: 0, error: undefined });
    expect(twice.results[0]).toMatchObject({ baseOffset: 0, error: undefined });
    expect(await endOf('orders')).toBe(2);
  });

  it('stamps records with its own time where the topic has LogAppendTime', async () => {
    await broker.topic('orders', 1, { 'message.timestamp.type': 'LogAppendTime' });
    const before = Date.now();
    const { results } = await broker.log.produce(produceRequest([recordsEntry('orders', ['a'])]));
    expect(results[0]?.logAppendTimeMs).toBeGreaterThanOrEqual(before);
  });

  it('does not answer before the batch is on disk', async () => {
    const topicId = await broker.topic('orders');
    await broker.log.produce(produceRequest([recordsEntry('orders', ['a'])]));
    const release = broker.store(topicId).stallWrites();
    let answered = false;
    const answer = broker.log.produce(produceRequest([recordsEntry('orders', ['b'])])).then((response) => {
      answered = true;
      return response;
    });
    await eventually(() => (broker.logs?.logs()[0]?.unstableBytes ?? 0) > 0, 'the append waits for the disk');
    expect([answered, await endOf('orders')]).toEqual([false, 1]);
    release();
    expect((await answer).results[0]).toMatchObject({ baseOffset: 1, error: undefined });
    expect(await endOf('orders')).toBe(2);
  });

  it('fails with REQUEST_TIMED_OUT when the disk does not speak in time', async () => {
    const topicId = await broker.topic('orders');
    await broker.log.produce(produceRequest([recordsEntry('orders', ['a'])]));
    const release = broker.store(topicId).stallWrites();
    const { results } = await broker.log.produce(produceRequest([recordsEntry('orders', ['b'])], v1.Acks.ALL, 30));
    expect(errorCodeOf(results[0]?.error)).toBe('REQUEST_TIMED_OUT');
    release();
  });
});

describe('Produce refuses a whole request', () => {
  const call = (request: v1.ProduceRequest) => broker.log.produce(request);

  it('without entries, with too many, and with a negative timeout', async () => {
    await expect(call(produceRequest([]))).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
    const many = Array.from({ length: 10_001 }, () => recordsEntry('orders', []));
    await expect(call(produceRequest(many))).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
    const negative = produceRequest([recordsEntry('orders', ['a'])], v1.Acks.ALL, -1);
    await expect(call(negative)).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
  });

  it('with acks that do not exist', async () => {
    const request = produceRequest([recordsEntry('orders', ['a'])], 9 as v1.Acks);
    await expect(call(request)).rejects.toMatchObject({ errorName: 'INVALID_REQUIRED_ACKS' });
  });

  it('beyond socket.request.max.bytes', async () => {
    const small = await TestBroker.start({
      config: { 'socket.request.max.bytes': 5000, 'message.max.bytes': 4000 },
    });
    await small.topic('orders');
    const entry = () => batchEntry('orders', batchOf([Buffer.alloc(3000)]));
    await expect(small.log.produce(produceRequest([entry(), entry()]))).rejects.toMatchObject({
      errorName: 'RECORD_LIST_TOO_LARGE',
    });
    await small.stop();
  });
});

describe('Produce refuses an entry', () => {
  beforeEach(() => broker.topic('orders'));

  it('for a topic or partition that does not exist, or a name that none may have', async () => {
    const batch = batchOf(['a']);
    expect(await refusalOf(batchEntry('missing', batch))).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    expect(await refusalOf(batchEntry('orders', batch, 1))).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    expect(await refusalOf(batchEntry('orders', batch, -1))).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    expect(await refusalOf(batchEntry('no/slashes', batch))).toBe('INVALID_TOPIC_EXCEPTION');
    expect(await refusalOf(batchEntry('', batch))).toBe('INVALID_TOPIC_EXCEPTION');
    expect(await refusalOf(batchEntry('x'.repeat(250), batch))).toBe('INVALID_TOPIC_EXCEPTION');
  });

  it('without partition, without payload, and with an empty one', async () => {
    const payload = { $case: 'batch' as const, batch: batchOf(['a']) };
    expect(await refusalOf({ topic: 'orders', partition: undefined, payload })).toBe('INVALID_REQUEST');
    expect(await refusalOf({ topic: 'orders', partition: 0 })).toBe('INVALID_REQUEST');
    expect(await refusalOf(batchEntry('orders', Buffer.alloc(0)))).toBe('INVALID_REQUEST');
    expect(await refusalOf(recordsEntry('orders', []))).toBe('INVALID_REQUEST');
  });

  it('whose batch is larger than max.message.bytes, as a batch and as a record', async () => {
    await broker.topic('small', 1, { 'max.message.bytes': '200' });
    expect(await refusalOf(batchEntry('small', batchOf(['x'.repeat(300)])))).toBe('MESSAGE_TOO_LARGE');
    expect(await refusalOf(recordsEntry('small', ['x'.repeat(300)]))).toBe('MESSAGE_TOO_LARGE');
    const several = recordsEntry('small', ['x'.repeat(100), 'y'.repeat(100), 'z'.repeat(100)]);
    expect((await broker.log.produce(produceRequest([several]))).results[0]).toMatchObject({ baseOffset: 0 });
    expect(await endOf('small')).toBe(3);
  });

  it('whose bytes are no batch, are cut short, or were damaged', async () => {
    const batch = batchOf(['a', 'b']);
    const damaged = Buffer.from(batch);
    damaged[batch.length - 1] = (damaged[batch.length - 1] ?? 0) ^ 1;
    const old = Buffer.from(batch);
    old[16] = 1;
    expect(await refusalOf(batchEntry('orders', Buffer.from('not a batch at all')))).toBe('CORRUPT_MESSAGE');
    expect(await refusalOf(batchEntry('orders', batch.subarray(0, 40)))).toBe('CORRUPT_MESSAGE');
    expect(await refusalOf(batchEntry('orders', batch.subarray(0, -1)))).toBe('CORRUPT_MESSAGE');
    expect(await refusalOf(batchEntry('orders', damaged))).toBe('CORRUPT_MESSAGE');
    expect(await refusalOf(batchEntry('orders', Buffer.concat([batch, damaged])))).toBe('CORRUPT_MESSAGE');
    expect(await refusalOf(batchEntry('orders', old))).toBe('UNSUPPORTED_FOR_MESSAGE_FORMAT');
    expect(await endOf('orders')).toBe(0);
  });

  it('whose attributes or counts only a server may write', async () => {
    const { BatchBuilder } = await import('@barnabas/protocol');
    const builder = new BatchBuilder({ maxBytes: 1000 });
    builder.tryAppend({ key: null, value: null, headers: [], timestamp: 1 });
    const control = builder.build({ producerId: 1, producerEpoch: 0, baseSequence: 0, isControl: true });
    expect(await refusalOf(batchEntry('orders', control))).toBe('INVALID_RECORD');
  });

  it('whose sequence or producer epoch is wrong', async () => {
    const batch = batchOf(['a'], { producerId: 7, producerEpoch: 1, baseSequence: 0 });
    await broker.log.produce(produceRequest([batchEntry('orders', batch)]));
    setProducerState(batch, 0, { producerId: 7, producerEpoch: 1, baseSequence: 5 });
    expect(await refusalOf(batchEntry('orders', batch))).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    setProducerState(batch, 0, { producerId: 7, producerEpoch: 0, baseSequence: 1 });
    expect(await refusalOf(batchEntry('orders', batch))).toBe('INVALID_PRODUCER_EPOCH');
  });

  it('whose timestamps lie too far ahead', async () => {
    const records = [v1.Record.create({ value: Buffer.from('a'), timestampMs: Date.now() + 7_200_000 })];
    const payload = { $case: 'records' as const, records: { records } };
    expect(await refusalOf({ topic: 'orders', partition: 0, payload })).toBe('INVALID_TIMESTAMP');
  });

  it('for a partition that another broker leads, naming it, or that nobody leads', async () => {
    broker.controller.createTopic('elsewhere', [{ leader: 2 }, { leader: -1, replicas: [2], isr: [2] }]);
    await broker.caughtUp();
    const { results } = await broker.log.produce(
      produceRequest([batchEntry('elsewhere', batchOf(['a']), 0), batchEntry('elsewhere', batchOf(['a']), 1)]),
    );
    expect(results.map((result) => errorCodeOf(result.error))).toEqual([
      'NOT_LEADER_OR_FOLLOWER',
      'LEADER_NOT_AVAILABLE',
    ]);
    expect(results[0]?.error?.message).toContain('broker 2 leads elsewhere-0');
  });

  it('of a client that knows a later leader, whatever it would say of the sequence', async () => {
    const topicId = await broker.topic('led');
    broker.controller.changePartition(topicId, 0, { leader: 1 });
    await broker.caughtUp();
    const epochs = [0, 1, 2].map((currentLeaderEpoch) => {
      const batch = batchOf(['late'], { producerId: 7, producerEpoch: 0, baseSequence: 3 });
      return refusalOf({ ...batchEntry('led', batch), currentLeaderEpoch });
    });
    expect(await Promise.all(epochs)).toEqual(['UNKNOWN_PRODUCER_ID', 'UNKNOWN_PRODUCER_ID', 'UNKNOWN_LEADER_EPOCH']);
  });

  it('with acks=all while the ISR is below min.insync.replicas, and writes nothing', async () => {
    broker.controller.createTopic('safe', [{ leader: 1, replicas: [1, 2], isr: [1] }]);
    broker.controller.setConfig('safe', 'min.insync.replicas', '2');
    await broker.caughtUp();
    expect(await refusalOf(recordsEntry('safe', ['a']))).toBe('NOT_ENOUGH_REPLICAS');
    expect(await endOf('safe')).toBe(0);
    const leader = await broker.log.produce(produceRequest([recordsEntry('safe', ['a'])], v1.Acks.LEADER));
    expect(leader.results[0]).toMatchObject({ baseOffset: 0, error: undefined });
  });
});

it('takes only its own partition offline when a disk fails, and says so', async () => {
  const topicId = await broker.topic('orders', 2);
  const entries = (partition: number) => produceRequest([recordsEntry('orders', ['a'], partition)]);
  await broker.log.produce(entries(0));
  await broker.log.produce(entries(1));
  broker.store(topicId, 0).failNextWrite();
  const failed = await broker.log.produce(entries(0));
  expect(errorCodeOf(failed.results[0]?.error)).toBe('KAFKA_STORAGE_ERROR');
  expect(errorCodeOf((await broker.log.produce(entries(0))).results[0]?.error)).toBe('KAFKA_STORAGE_ERROR');
  expect((await broker.log.produce(entries(1))).results[0]).toMatchObject({ baseOffset: 1, error: undefined });
});

it('keeps what it acknowledged when the machine dies', async () => {
  await broker.topic('orders');
  await broker.log.produce(produceRequest([recordsEntry('orders', ['a', 'b'])]));
  broker.disks.crash();
  const again = new TestBroker({ disks: broker.disks });
  again.controller.append(...broker.controller.records.slice(1).flatMap(({ record }) => record ?? []));
  await again.role.start({ host: '127.0.0.1', port: 2 });
  const { results } = await again.log.produce(produceRequest([recordsEntry('orders', ['c'])]));
  expect(results[0]).toMatchObject({ baseOffset: 2, error: undefined });
  await again.stop();
});
