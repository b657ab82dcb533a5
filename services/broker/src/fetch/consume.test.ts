import { v1 } from '@barnabas/protocol';
import { Recorded, batchEntry, batchOf, eventually, produceRequest, recordsEntry } from '../test-kit/requests.js';
import { TestBroker } from '../test-kit/test-broker.js';

const KiB = 1024;
const MiB = 1024 * KiB;

let broker: TestBroker;

beforeEach(async () => {
  broker = await TestBroker.start();
});
afterEach(() => broker.stop());

type Consumed = Recorded<v1.ConsumeResponse, never>;

const EARLIEST: v1.StartPosition = { position: { $case: 'earliest', earliest: true } };

function consume(change: Partial<v1.ConsumeRequest> = {}): Consumed {
  const request = v1.ConsumeRequest.create({ topic: 'orders', ...change });
  return new Recorded(broker.log.consume(request));
}

async function produce(values: readonly string[], partition = 0): Promise<void> {
  await broker.log.produce(produceRequest([recordsEntry('orders', values, partition)]));
}

function recordsOf(consumed: Consumed): v1.ConsumedRecord[] {
  return consumed.messages.flatMap(({ records }) => records);
}

function valuesOf(consumed: Consumed, partition?: number): (string | undefined)[] {
  const records = recordsOf(consumed).filter((record) => partition === undefined || record.partition === partition);
  return records.map(({ value }) => value?.toString());
}

describe('Consume', () => {
  it('streams whole records, and ends at the end when told to', async () => {
    await broker.topic('orders');
    const record = v1.Record.create({
      key: Buffer.from('k'),
      value: Buffer.from('v'),
      headers: [{ key: 'trace', value: Buffer.from('1') }, { key: 'none' }],
      timestampMs: 1_700_000_000_000,
    });
    const payload = { $case: 'records' as const, records: { records: [record, v1.Record.create({})] } };
    await broker.log.produce(produceRequest([{ topic: 'orders', partition: 0, payload }]));
    const consumed = consume({ start: EARLIEST, stopAtEnd: true });
    expect(await consumed.end()).toBeUndefined();
    const [first, second] = recordsOf(consumed);
    expect(first).toMatchObject({
      topic: 'orders',
      partition: 0,
      offset: 0,
      timestampMs: 1_700_000_000_000,
      key: Buffer.from('k'),
      value: Buffer.from('v'),
      headers: [
        { key: 'trace', value: Buffer.from('1') },
        { key: 'none', value: undefined },
      ],
    });
    expect(second).toMatchObject({ offset: 1, key: undefined, value: undefined, headers: [] });
  });

  it('ends at once where there is nothing', async () => {
    await broker.topic('orders', 3);
    const consumed = consume({ start: EARLIEST, stopAtEnd: true });
    expect(await consumed.end()).toBeUndefined();
    expect(consumed.messages).toEqual([]);
  });

  it('reads all partitions, each in order, and leaves out what came after the call', async () => {
    await broker.topic('orders', 2);
    await produce(['a', 'b'], 0);
    await produce(['c'], 1);
    const consumed = consume({ start: EARLIEST, stopAtEnd: true });
    const later = produce(['late'], 0);
    expect(await consumed.end()).toBeUndefined();
    await later;
    expect([valuesOf(consumed, 0).slice(0, 2), valuesOf(consumed, 1)]).toEqual([['a', 'b'], ['c']]);
  });

  it('goes on with what is produced meanwhile, and ends after max_records', async () => {
    await broker.topic('orders');
    await produce(['before']);
    const consumed = consume({ maxRecords: 3 });
    // Nothing says when it has begun, so produce until it ends: it sees a run of what came.
    let number = 0;
    while (consumed.closed === undefined) await produce([`${number++}`]);
    expect(await consumed.end()).toBeUndefined();
    const values = valuesOf(consumed).map(Number);
    expect(values).toHaveLength(3);
    expect(values).toEqual([values[0], (values[0] ?? 0) + 1, (values[0] ?? 0) + 2]);
  });

  it('begins at an offset within a batch, or at a time', async () => {
    await broker.topic('orders');
    const records = [10, 20, 30, 40].map((timestampMs) =>
      v1.Record.create({ value: Buffer.from(String(timestampMs)), timestampMs }),
    );
    const payload = { $case: 'records' as const, records: { records } };
    await broker.log.produce(produceRequest([{ topic: 'orders', partition: 0, payload }]));
    const from = async (position: v1.StartPosition['position']) => {
      const consumed = consume({ start: position === undefined ? undefined : { position }, stopAtEnd: true });
      expect(await consumed.end()).toBeUndefined();
      return valuesOf(consumed);
    };
    expect(await from({ $case: 'offset', offset: 2 })).toEqual(['30', '40']);
    expect(await from({ $case: 'timestampMs', timestampMs: 15 })).toEqual(['20', '30', '40']);
    expect(await from({ $case: 'timestampMs', timestampMs: 100 })).toEqual([]);
    expect(await from({ $case: 'latest', latest: true })).toEqual([]);
    expect(await from(undefined)).toEqual([]);
  });

  it('fails for what it cannot read', async () => {
    await broker.topic('orders');
    const elsewhere = broker.controller.createTopic('elsewhere', [{ leader: 1 }, { leader: 2 }]);
    await broker.caughtUp();
    const failure = async (change: Partial<v1.ConsumeRequest>) => (await consume(change).end())?.errorName;
    expect(await failure({ topic: 'missing' })).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    expect(await failure({ topic: '..' })).toBe('INVALID_TOPIC_EXCEPTION');
    expect(await failure({ partitions: [1] })).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    expect(await failure({ partitions: [0, 0] })).toBe('INVALID_REQUEST');
    expect(await failure({ maxRecords: -1 })).toBe('INVALID_REQUEST');
    expect(await failure({ topic: 'elsewhere' })).toBe('NOT_LEADER_OR_FOLLOWER');
    expect(await failure({ start: { position: { $case: 'offset', offset: 5 } } })).toBe('OFFSET_OUT_OF_RANGE');
    expect(await failure({ start: { position: { $case: 'timestampMs', timestampMs: -5 } } })).toBe('INVALID_REQUEST');
    const led = consume({ topic: 'elsewhere', partitions: [0] });
    await broker.log.listOffsets(v1.ListOffsetsRequest.create({}));
    broker.controller.changePartition(elsewhere, 0, { leader: -1 });
    expect((await led.end())?.errorName).toBe('LEADER_NOT_AVAILABLE');
  });

  it('decodes no faster than the client reads', async () => {
    await broker.topic('orders', 1, { 'flush.messages': '1000000' });
    const total = 16 * MiB;
    const batch = batchOf(Array.from({ length: 64 }, () => Buffer.alloc(8 * KiB)));
    const entries = Array.from({ length: 4 }, () => batchEntry('orders', batch));
    for (let bytes = 0; bytes < total; bytes += 4 * 512 * KiB) await broker.log.produce(produceRequest(entries));
    const consumed = consume({ start: EARLIEST, stopAtEnd: true });
    consumed.stream.pause();
    await eventually(() => broker.metrics.total('barnabas_bytes_out_total') > 0, 'something is fetched');
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(broker.metrics.total('barnabas_bytes_out_total')).toBeLessThan(5 * MiB);
    consumed.stream.resume();
    expect(await consumed.end()).toBeUndefined();
    expect(recordsOf(consumed)).toHaveLength(total / (8 * KiB));
  });

  it('ends quietly for a client that goes away', async () => {
    await broker.topic('orders');
    const consumed = consume({ start: EARLIEST });
    await produce(['a']);
    await consumed.until((messages) => messages.length > 0);
    consumed.stream.cancel();
    await consumed.end();
    await produce(['b']);
  });
});
