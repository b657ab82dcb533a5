import { v1 } from '@barnabas/protocol';
import { errorCodeOf, eventually, produceRequest, recordsEntry } from '../test-kit/requests.js';
import { TestBroker } from '../test-kit/test-broker.js';

let broker: TestBroker;

beforeEach(async () => {
  broker = await TestBroker.start();
  await broker.topic('orders');
});
afterEach(() => broker.stop());

async function produce(timestamps: readonly number[]): Promise<void> {
  for (const timestampMs of timestamps) {
    const records = [v1.Record.create({ value: Buffer.from('x'), timestampMs })];
    const payload = { $case: 'records' as const, records: { records } };
    const { results } = await broker.log.produce(produceRequest([{ topic: 'orders', partition: 0, payload }]));
    expect(results[0]?.error).toBeUndefined();
  }
}

async function find(spec: v1.ListOffsetsEntry['spec'], change: Partial<v1.ListOffsetsEntry> = {}) {
  const entries = [{ topic: 'orders', partition: 0, spec, ...change }];
  const { results } = await broker.log.listOffsets(v1.ListOffsetsRequest.create({ entries }));
  expect(results).toHaveLength(1);
  const [result] = results;
  if (result === undefined) throw new Error('one answer');
  return result;
}

describe('ListOffsets', () => {
  it('finds both ends, times and the greatest time', async () => {
    await produce([100, 300, 200]);
    expect(await find({ $case: 'earliest', earliest: true })).toMatchObject({ offset: 0, timestampMs: -1 });
    expect(await find({ $case: 'latest', latest: true })).toMatchObject({ offset: 3, timestampMs: -1, leaderEpoch: 0 });
    expect(await find({ $case: 'timestampMs', timestampMs: 150 })).toMatchObject({ offset: 1, timestampMs: 300 });
    expect(await find({ $case: 'timestampMs', timestampMs: 301 })).toMatchObject({ offset: -1, timestampMs: -1 });
    expect(await find({ $case: 'maxTimestamp', maxTimestamp: true })).toMatchObject({ offset: 1, timestampMs: 300 });
  });

  it('finds nothing that is not committed', async () => {
    await produce([100]);
    const topicId = broker.logs?.logs()[0]?.topicId ?? '';
    const release = broker.store(topicId).stallWrites();
    const answer = produce([500]);
    await eventually(() => broker.logs?.logs()[0]?.logEndOffset === 2, 'the second is appended');
    expect(await find({ $case: 'latest', latest: true })).toMatchObject({ offset: 1 });
    expect(await find({ $case: 'timestampMs', timestampMs: 400 })).toMatchObject({ offset: -1 });
    release();
    await answer;
    expect(await find({ $case: 'timestampMs', timestampMs: 400 })).toMatchObject({ offset: 1 });
  });

  it('finds the record at an offset, or the first behind it, with its time', async () => {
    const at = (atOffset: number) => find({ $case: 'atOffset', atOffset });
    expect(await at(0)).toMatchObject({ offset: -1, timestampMs: -1, leaderEpoch: -1 });
    await produce([100, 300, 200]);
    expect(await at(0)).toMatchObject({ offset: 0, timestampMs: 100, leaderEpoch: 0, error: undefined });
    expect(await at(2)).toMatchObject({ offset: 2, timestampMs: 200 });
    expect(await at(3)).toMatchObject({ offset: -1, timestampMs: -1 });
    expect(errorCodeOf((await at(-1)).error)).toBe('INVALID_REQUEST');
    await broker.log.deleteRecords({ entries: [{ topic: 'orders', partition: 0, beforeOffset: 1 }] });
    expect(await at(0)).toMatchObject({ offset: 1, timestampMs: 300 });
  });

  it('finds no record at an offset that is not committed', async () => {
    await produce([100]);
    const release = broker.store(broker.logs?.logs()[0]?.topicId ?? '').stallWrites();
    const answer = produce([500]);
    await eventually(() => broker.logs?.logs()[0]?.logEndOffset === 2, 'the second is appended');
    const before = await find({ $case: 'atOffset', atOffset: 1 });
    release();
    await answer;
    expect(before).toMatchObject({ offset: -1 });
    expect(await find({ $case: 'atOffset', atOffset: 1 })).toMatchObject({ offset: 1, timestampMs: 500 });
  });

  it('refuses a client that knows a later leader, and serves one that knows an earlier', async () => {
    const latest = { $case: 'latest' as const, latest: true };
    const { error } = await find(latest, { currentLeaderEpoch: 1 });
    expect(errorCodeOf(error)).toBe('UNKNOWN_LEADER_EPOCH');
    for (const currentLeaderEpoch of [0, -1]) {
      expect(await find(latest, { currentLeaderEpoch })).toMatchObject({ offset: 0, error: undefined });
    }
  });

  it('answers each entry for itself', async () => {
    const latest = { $case: 'latest' as const, latest: true };
    expect(errorCodeOf((await find(latest, { topic: 'missing' })).error)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    expect(errorCodeOf((await find(latest, { partition: 9 })).error)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    expect(errorCodeOf((await find(undefined)).error)).toBe('INVALID_REQUEST');
    expect(errorCodeOf((await find({ $case: 'timestampMs', timestampMs: -1 })).error)).toBe('INVALID_REQUEST');
    expect((await find(latest)).error).toBeUndefined();
  });
});

describe('DeleteRecords', () => {
  const cut = async (beforeOffset: number, topic = 'orders') => {
    const { results } = await broker.log.deleteRecords({ entries: [{ topic, partition: 0, beforeOffset }] });
    return [results[0]?.logStartOffset, errorCodeOf(results[0]?.error)];
  };

  it('raises the log start offset, up to the high watermark', async () => {
    await produce([1, 2, 3]);
    expect(await cut(2)).toEqual([2, undefined]);
    expect(await cut(1)).toEqual([2, undefined]);
    expect((await find({ $case: 'earliest', earliest: true })).offset).toBe(2);
    expect(await cut(4)).toEqual([-1, 'OFFSET_OUT_OF_RANGE']);
    expect(await cut(-2)).toEqual([-1, 'OFFSET_OUT_OF_RANGE']);
    expect(await cut(0, 'missing')).toEqual([-1, 'UNKNOWN_TOPIC_OR_PARTITION']);
    expect(await cut(-1)).toEqual([3, undefined]);
    const { results } = await broker.log.produce(produceRequest([recordsEntry('orders', ['a'])]));
    expect(results[0]).toMatchObject({ baseOffset: 3, logStartOffset: 3 });
  });
});

describe('InitProducerId', () => {
  it('hands out ids of its block, and asks for another when it is used up', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => broker.log.initProducerId({})));
    expect(answers.map(({ producerId }) => producerId).sort()).toEqual([0, 1, 2, 3, 4]);
    expect(answers.every(({ producerEpoch }) => producerEpoch === 0)).toBe(true);
    expect(broker.controller.producerIdBlocks).toBe(3);
  });
});

describe('DescribeConfigs', () => {
  const describe = async (type: v1.ConfigResourceType, name: string, key: string) => {
    const { results } = await broker.admin.describeConfigs({ resources: [{ type, name }], keys: [key] });
    const [entry] = results[0]?.entries ?? [];
    return entry === undefined ? errorCodeOf(results[0]?.error) : [entry.value, v1.ConfigSource[entry.source]];
  };

  it('tells where each value comes from', async () => {
    await broker.stop();
    broker = await TestBroker.start({ config: { 'log.retention.hours': 2, 'message.max.bytes': 5000 } });
    await broker.topic('orders', 1, { 'retention.bytes': '77' });
    const { TOPIC, BROKER } = v1.ConfigResourceType;
    expect(await describe(TOPIC, 'orders', 'retention.bytes')).toEqual(['77', 'DYNAMIC_TOPIC_CONFIG']);
    expect(await describe(TOPIC, 'orders', 'max.message.bytes')).toEqual(['5000', 'STATIC_BROKER_CONFIG']);
    expect(await describe(TOPIC, 'orders', 'retention.ms')).toEqual(['7200000', 'STATIC_BROKER_CONFIG']);
    expect(await describe(TOPIC, 'orders', 'flush.messages')).toEqual(['1', 'DEFAULT_CONFIG']);
    expect(await describe(BROKER, '1', 'log.retention.ms')).toEqual(['7200000', 'STATIC_BROKER_CONFIG']);
    expect(await describe(BROKER, '1', 'broker.heartbeat.interval.ms')).toEqual(['20', 'STATIC_BROKER_CONFIG']);
    expect(await describe(BROKER, '9', 'log.retention.ms')).toBe('BROKER_ID_NOT_REGISTERED');
    expect(await describe(TOPIC, 'missing', 'retention.ms')).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });

  it('applies a change of a topic or of the broker at once', async () => {
    const large = produceRequest([recordsEntry('orders', ['x'.repeat(500)])]);
    expect((await broker.log.produce(large)).results[0]?.error).toBeUndefined();
    broker.controller.setConfig('orders', 'max.message.bytes', '400');
    await broker.caughtUp();
    expect(errorCodeOf((await broker.log.produce(large)).results[0]?.error)).toBe('MESSAGE_TOO_LARGE');
    broker.controller.setBrokerConfig('1', 'message.max.bytes', '50');
    await broker.topic('other');
    const small = produceRequest([recordsEntry('other', ['x'])]);
    expect(errorCodeOf((await broker.log.produce(small)).results[0]?.error)).toBe('MESSAGE_TOO_LARGE');
    broker.controller.setBrokerConfig('1', 'message.max.bytes', '5000');
    await broker.caughtUp();
    expect((await broker.log.produce(small)).results[0]?.error).toBeUndefined();
  });
});
