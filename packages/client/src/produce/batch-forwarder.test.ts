import { BatchBuilder, v1 } from '@barnabas/protocol';
import type { BarnabasError, ErrorName } from '@barnabas/protocol';
import { Harness, onMethod, settle, times } from '../testing/index.js';
import type { Interceptor } from '../testing/index.js';
import { BatchForwarder } from './batch-forwarder.js';

let harness: Harness;
let forwarder: BatchForwarder;

beforeEach(() => {
  harness = new Harness({ brokers: 2, topics: { t: 2 } });
  forwarder = new BatchForwarder(harness.client.router, {
    maxInFlight: 5,
    maxRequestSize: 1_000_000,
    requestTimeoutMs: 1_000,
  });
});

afterEach(async () => {
  forwarder.close();
  await harness.close();
});

/** One record with the number as its value; with a sequence if one is given. */
function batch(value: number, baseSequence?: number): Buffer {
  const builder = new BatchBuilder({ maxBytes: 1_000 });
  builder.tryAppend({ key: null, value: Buffer.from(`${value}`), headers: [], timestamp: 1 });
  return baseSequence === undefined
    ? builder.build()
    : builder.build({ producerId: 7, producerEpoch: 0, baseSequence });
}

function values(partition = 0): number[] {
  return harness.cluster.records('t', partition).map(({ value }) => Number(Buffer.from(value ?? '').toString()));
}

function refuse(count: number, error: ErrorName): Interceptor {
  let left = count;
  return ({ method }) =>
    method === 'ProduceStream' ? { kind: 'entries', error: () => (left-- > 0 ? error : undefined) } : undefined;
}

async function ready(): Promise<void> {
  const ensure = harness.client.router.view.ensureTopic('t', { timeoutMs: 1_000, allowAutoTopicCreation: false });
  await harness.run(ensure);
}

const attempt = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'appended',
    (error: BarnabasError) => error.errorName,
  );

test('batches go to their leader in order, and say where they are', async () => {
  await ready();
  const lane = forwarder.lane('t', 1, v1.Acks.ALL);
  const results = await harness.run(Promise.all([0, 1, 2].map((value) => lane.append(batch(value), 5_000))));
  expect(results.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 2]);
  expect(values(1)).toEqual([0, 1, 2]);
});

test('several batches in one entry are appended together', async () => {
  await ready();
  const lane = forwarder.lane('t', 0, v1.Acks.LEADER);
  const both = lane.append(Buffer.concat([batch(0), batch(1)]), 5_000);
  const next = lane.append(batch(2), 5_000);
  expect((await harness.run(Promise.all([both, next]))).map(({ baseOffset }) => baseOffset)).toEqual([0, 2]);
});

test('a leader that has moved is found, in order', async () => {
  await ready();
  harness.cluster.freezeMetadata();
  harness.cluster.moveLeader('t', 0, 2);
  const lane = forwarder.lane('t', 0, v1.Acks.ALL);
  const sent = [0, 1, 2].map((value) => lane.append(batch(value, value), 5_000));
  await settle(10);
  harness.cluster.thawMetadata();
  await harness.run(Promise.all(sent));
  expect(values()).toEqual([0, 1, 2]);
});

test('a batch whose fate is unknown goes out again only if its leader would recognise it', async () => {
  await ready();
  harness.cluster.intercept(times(2, onMethod('ProduceStream', { kind: 'disconnect-after' })));
  const plain = forwarder.lane('t', 0, v1.Acks.ALL).append(batch(0), 5_000);
  expect(await harness.run(attempt(plain))).toBe('NETWORK_EXCEPTION');
  const numbered = forwarder.lane('t', 0, v1.Acks.ALL).append(batch(1, 0), 5_000);
  expect(await harness.run(attempt(numbered))).toBe('appended');
  expect(values()).toEqual([0, 1]);
});

test('a plain batch goes out again where it is known not to be there, and its order holds', async () => {
  await ready();
  harness.cluster.intercept(refuse(2, 'NOT_ENOUGH_REPLICAS'));
  const lane = forwarder.lane('t', 0, v1.Acks.ALL);
  const sent: Promise<unknown>[] = [];
  for (let value = 0; value < 5; value++) {
    sent.push(lane.append(batch(value), 5_000));
    await settle(1);
  }
  await harness.run(Promise.all(sent));
  expect(values()).toEqual([0, 1, 2, 3, 4]);
});

test('one refused batch among several of an entry fails alone', async () => {
  await ready();
  const large = new BatchBuilder({ maxBytes: 3_000_000, maxBatchBytes: 3_000_000 });
  large.tryAppend({ key: null, value: Buffer.alloc(2_000_000), headers: [], timestamp: 1 });
  const lane = forwarder.lane('t', 0, v1.Acks.LEADER);
  const small = [batch(0), batch(1), large.build(), batch(2)].map((bytes) => attempt(lane.append(bytes, 5_000)));
  expect(await harness.run(Promise.all(small))).toEqual(['appended', 'appended', 'MESSAGE_TOO_LARGE', 'appended']);
  expect(values()).toEqual([0, 1, 2]);
});

test('a gap of the client goes back to the client; one behind a retry does not', async () => {
  await ready();
  const lane = forwarder.lane('t', 0, v1.Acks.ALL);
  await harness.run(lane.append(batch(0, 0), 5_000));
  expect(await harness.run(attempt(lane.append(batch(9, 9), 5_000)))).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
  harness.cluster.intercept(refuse(1, 'NOT_ENOUGH_REPLICAS'));
  const sent = [1, 2, 3].map((value) => lane.append(batch(value, value), 5_000));
  await harness.run(Promise.all(sent));
  expect(values()).toEqual([0, 1, 2, 3]);
});

test.each<ErrorName>(['OUT_OF_ORDER_SEQUENCE_NUMBER', 'MESSAGE_TOO_LARGE'])(
  'after an attempt without a clear answer the client gets none either, whatever the next leader says (%s)',
  async (error) => {
    await ready();
    const lane = forwarder.lane('t', 0, v1.Acks.ALL);
    let attempts = 0;
    harness.cluster.intercept(({ method }) => {
      if (method !== 'ProduceStream') return undefined;
      attempts++;
      if (attempts === 1) return { kind: 'disconnect-after' };
      return attempts === 2 ? { kind: 'entries', error: () => error } : undefined;
    });
    expect(await harness.run(attempt(lane.append(batch(0, 0), 5_000)))).toBe('NETWORK_EXCEPTION');
    expect(await harness.run(attempt(lane.append(batch(0, 0), 5_000)))).toBe('appended');
    expect(values()).toEqual([0]);
  },
);

test('gives up at the time given', async () => {
  await ready();
  harness.cluster.stopBroker(1);
  await settle();
  const began = harness.environment.time.monotonic();
  expect(await harness.run(attempt(forwarder.lane('t', 0, v1.Acks.ALL).append(batch(0, 0), 700)))).toBe(
    'REQUEST_TIMED_OUT',
  );
  expect(harness.environment.time.monotonic() - began).toBeLessThan(900);
});

test('bytes that are no batch are refused at the door', async () => {
  const lane = forwarder.lane('t', 0, v1.Acks.ALL);
  await expect(lane.append(Buffer.from('no batch'), 1_000)).rejects.toMatchObject({ errorName: 'CORRUPT_MESSAGE' });
  expect(() => forwarder.lane('t', 0, 9 as v1.Acks)).toThrow('acks 9 is not known');
});

test('acks 0 resolves when it is on its way', async () => {
  await ready();
  const result = await harness.run(forwarder.lane('t', 0, v1.Acks.NONE).append(batch(5), 1_000));
  expect(result.baseOffset).toBe(-1);
  await settle();
  expect(values()).toEqual([5]);
});
