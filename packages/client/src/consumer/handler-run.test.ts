/** Records to handlers: order, concurrency, what counts as done, and what happens to the rest. */
import { SeededRandom } from '@barnabas/common';
import { BatchBuilder } from '@barnabas/protocol';
import fc from 'fast-check';
import type { ConsumerOptions } from '../options/consumer-options.js';
import type { ConsumerRecord } from '../records.js';
import { Harness, settle } from '../testing/index.js';
import type { Consumer } from './consumer.js';
import { OffsetTracker } from './offset-tracker.js';
import type { RunOptions } from './run-options.js';

let harness: Harness;

afterEach(async () => {
  await harness?.close();
});

function start(partitions = 2): void {
  harness = new Harness({ brokers: 2, topics: { t: partitions } });
}

function consumer(options: ConsumerOptions = {}): Consumer {
  const made = harness.client.consumer({ groupId: 'g', autoOffsetReset: 'earliest', ...options });
  made.subscribe('t');
  return made;
}

/** Keys in turn; undefined for records without one. */
function append(partition: number, count: number, keys: readonly (string | null)[] = [null]): void {
  const builder = new BatchBuilder({ maxBytes: 1_000_000 });
  for (let index = 0; index < count; index++) {
    const key = keys[index % keys.length] ?? null;
    builder.tryAppend({ key: key === null ? null : Buffer.from(key), value: null, headers: [], timestamp: 1 });
  }
  harness.cluster.partition('t', partition).append(builder.build());
}

async function until(isSo: () => boolean, limitMs = 100_000): Promise<void> {
  const { time } = harness.environment;
  const begun = time.monotonic();
  while (!isSo()) {
    await settle(2);
    if (isSo()) return;
    if (time.monotonic() - begun > limitMs) throw new Error('it does not become so');
    time.advance(10);
  }
}

async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10) {
    await settle(2);
    harness.environment.time.advance(10);
  }
  await settle(2);
}

/** Handlers that end when the test says so. */
class Handlers {
  readonly begun: string[] = [];
  readonly #open = new Map<string, (error?: Error) => void>();
  most = 0;

  handle = ({ partition, offset }: ConsumerRecord): Promise<void> => {
    const name = `${partition}/${offset}`;
    this.begun.push(name);
    return new Promise((resolve, reject) => {
      this.#open.set(name, (error) => (error === undefined ? resolve() : reject(error)));
      this.most = Math.max(this.most, this.#open.size);
    });
  };

  get open(): string[] {
    return [...this.#open.keys()];
  }

  end(name: string, error?: Error): void {
    this.#open.get(name)?.(error);
    this.#open.delete(name);
  }
}

function committed(partition: number): number | undefined {
  return harness.cluster.groups.committed('g', 't', partition);
}

function run(reader: Consumer, options: RunOptions): { readonly ended: Promise<unknown> } {
  return {
    ended: reader.run(options).then(
      () => undefined,
      (error: unknown) => error,
    ),
  };
}

test('one thing of a partition at a time, several partitions at once', async () => {
  start(3);
  for (let partition = 0; partition < 3; partition++) append(partition, 3);
  const handlers = new Handlers();
  const one = consumer();
  const { ended } = run(one, { eachRecord: handlers.handle, concurrency: 2 });
  await until(() => handlers.open.length === 2);
  await pass(100);
  expect(handlers.most).toBe(2);
  const [first = ''] = handlers.open;
  handlers.end(first);
  await until(() => handlers.begun.length === 3);
  await until(() => {
    for (const name of handlers.open) handlers.end(name);
    return handlers.begun.length === 9;
  });
  for (const name of handlers.open) handlers.end(name);
  await harness.run(one.close());
  expect(await ended).toBeUndefined();
  for (let partition = 0; partition < 3; partition++) {
    const offsets = handlers.begun.filter((name) => name.startsWith(`${partition}/`));
    expect(offsets).toEqual([0, 1, 2].map((offset) => `${partition}/${offset}`));
    expect(committed(partition)).toBe(3);
  }
  expect(handlers.most).toBe(2);
});

test('one record of a key at a time, several keys of a partition at once; commits have no gap', async () => {
  start(1);
  append(0, 6, ['a', 'b']);
  const handlers = new Handlers();
  const one = consumer();
  const { ended } = run(one, { eachRecord: handlers.handle, concurrency: 4, orderBy: 'key' });
  await until(() => handlers.open.length === 2);
  await pass(6_000);
  // a: 0, 2, 4; b: 1, 3, 5.
  expect(handlers.begun).toEqual(['0/0', '0/1']);
  handlers.end('0/1');
  await until(() => handlers.begun.includes('0/3'));
  handlers.end('0/3');
  await until(() => handlers.begun.includes('0/5'));
  await pass(6_000);
  expect(committed(0)).toBe(0);
  handlers.end('0/0');
  await until(() => handlers.begun.includes('0/2'));
  await pass(6_000);
  expect(committed(0)).toBe(2);
  handlers.end('0/2');
  await until(() => handlers.begun.includes('0/4'));
  await pass(6_000);
  expect(committed(0)).toBe(4);
  await harness.run(one.commit());
  handlers.end('0/4');
  handlers.end('0/5');
  await harness.run(one.close());
  expect([await ended, committed(0)]).toEqual([undefined, 6]);
});

test('records without a key wait for nobody', async () => {
  start(1);
  append(0, 4);
  const handlers = new Handlers();
  const one = consumer();
  run(one, { eachRecord: handlers.handle, concurrency: 3, orderBy: 'key' });
  await until(() => handlers.open.length === 3);
  for (const name of handlers.open) handlers.end(name);
  await until(() => handlers.begun.length === 4);
  handlers.end('0/3');
});

test('a handler that fails ends the run when the others have ended; the next one begins with what was not done', async () => {
  start(2);
  append(0, 4);
  append(1, 4);
  const handlers = new Handlers();
  const one = consumer();
  const { ended } = run(one, { eachRecord: handlers.handle, concurrency: 2 });
  await until(() => handlers.open.length === 2);
  handlers.end('0/0');
  await until(() => handlers.open.includes('0/1'));
  handlers.end('0/1', new TypeError('broken'));
  await pass(100);
  expect(handlers.begun).toEqual(['0/0', '1/0', '0/1']);
  handlers.end('1/0');
  expect(await harness.run(ended)).toEqual(new TypeError('broken'));
  expect([one.position({ topic: 't', partition: 0 }), one.position({ topic: 't', partition: 1 })]).toEqual([1, 1]);
  const seen: string[] = [];
  const again = run(one, { eachRecord: ({ partition, offset }) => void seen.push(`${partition}/${offset}`) });
  await until(() => seen.length === 6);
  expect(seen.sort()).toEqual(['0/1', '0/2', '0/3', '1/1', '1/2', '1/3']);
  await harness.run(one.close());
  expect([await again.ended, committed(0), committed(1)]).toEqual([undefined, 4, 4]);
});

test('a signal ends a run: what is being handled is waited for, the rest is for a loop', async () => {
  start(1);
  append(0, 4);
  const handlers = new Handlers();
  const one = consumer();
  const stop = new AbortController();
  const { ended } = run(one, { eachRecord: handlers.handle, signal: stop.signal });
  await until(() => handlers.open.length === 1);
  stop.abort();
  await pass(100);
  expect(() => one[Symbol.asyncIterator]()).toThrow('being read already');
  handlers.end('0/0');
  expect(await harness.run(ended)).toBeUndefined();
  const { value } = (await harness.run(one[Symbol.asyncIterator]().next())) as IteratorResult<ConsumerRecord>;
  expect((value as ConsumerRecord).offset).toBe(1);
});

test('batches are handed over whole', async () => {
  start(1);
  append(0, 3);
  append(0, 2);
  const sizes: number[] = [];
  const one = consumer();
  run(one, { eachBatch: ({ records }) => void sizes.push(records.length) });
  await until(() => sizes.length === 2);
  await pass(6_000);
  expect([sizes, committed(0)]).toEqual([[3, 2], 5]);
});

test('a slow partition does not keep the others waiting', async () => {
  start(2);
  append(0, 1);
  const handlers = new Handlers();
  const seen: number[] = [];
  const one = consumer();
  run(one, {
    concurrency: 2,
    eachRecord: (record) => (record.partition === 0 ? handlers.handle(record) : void seen.push(record.offset)),
  });
  await until(() => handlers.open.length === 1);
  for (let batch = 0; batch < 20; batch++) append(0, 10);
  for (let batch = 0; batch < 20; batch++) append(1, 10);
  await until(() => seen.length === 200);
  expect(handlers.begun).toEqual(['0/0']);
  handlers.end('0/0');
});

test('what was taken of a partition that is paused is kept, and goes on when it is resumed', async () => {
  start(1);
  append(0, 4);
  const handlers = new Handlers();
  const one = consumer();
  run(one, { eachRecord: handlers.handle });
  await until(() => handlers.open.length === 1);
  one.pause([{ topic: 't', partition: 0 }]);
  handlers.end('0/0');
  await pass(200);
  expect(handlers.begun).toEqual(['0/0']);
  one.resume([{ topic: 't', partition: 0 }]);
  for (let offset = 1; offset < 4; offset++) {
    await until(() => handlers.open.includes(`0/${offset}`));
    handlers.end(`0/${offset}`);
  }
  expect(handlers.begun).toEqual(['0/0', '0/1', '0/2', '0/3']);
});

test('a seek voids what waits, and waits for what is being handled', async () => {
  start(1);
  append(0, 4);
  const handlers = new Handlers();
  const one = consumer();
  run(one, { eachRecord: handlers.handle });
  await until(() => handlers.open.length === 1);
  one.seek({ topic: 't', partition: 0 }, 2);
  await pass(200);
  expect(handlers.begun).toEqual(['0/0']);
  handlers.end('0/0');
  await until(() => handlers.begun.length === 2);
  expect(handlers.begun[1]).toBe('0/2');
  handlers.end('0/2');
  await until(() => handlers.open.includes('0/3'));
  handlers.end('0/3');
});

test('a handler that takes longer than max.poll.interval.ms costs the membership, though others go on', async () => {
  start(2);
  append(0, 1);
  append(1, 1);
  const handlers = new Handlers();
  const one = consumer({ maxPollIntervalMs: 10_000 });
  run(one, { concurrency: 2, eachRecord: handlers.handle });
  await until(() => handlers.open.length === 2);
  for (let offset = 0; offset < 9; offset++) {
    handlers.end(`1/${offset}`);
    append(1, 1);
    await pass(1_000);
  }
  expect(harness.cluster.groups.group('g').members.size).toBe(1);
  await until(() => harness.cluster.groups.group('g').members.size === 0, 4_000);
  handlers.end('0/0');
  await until(() => harness.cluster.groups.group('g').members.size === 1);
  for (const name of handlers.open) handlers.end(name);
  await until(() => handlers.open.length > 0);
  for (let round = 0; round < 30; round++) {
    for (const name of handlers.open) handlers.end(name);
    await pass(50);
  }
});

test('contradictions are refused', async () => {
  start();
  const one = consumer();
  const handle = (): void => undefined;
  for (const options of [
    {},
    { eachRecord: handle, eachBatch: handle },
    { eachBatch: handle, orderBy: 'key' as const },
    { eachRecord: handle, concurrency: 0 },
    { eachRecord: handle, parallel: 3 } as RunOptions,
  ]) {
    await expect(one.run(options)).rejects.toMatchObject({ errorName: 'INVALID_CONFIG' });
  }
});

test('the low watermark is the first thing that is not done', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 }), (seed) => {
      const random = new SeededRandom(seed);
      const tracker = new OffsetTracker();
      const open = new Map<number, ReturnType<OffsetTracker['add']>>();
      let next = 0;
      for (let step = 0; step < 500; step++) {
        if (random.below(2) === 0 || open.size === 0) {
          open.set(next, tracker.add({ offset: next, leaderEpoch: 0 }));
          next += 1 + random.below(3);
        } else {
          const offsets = [...open.keys()];
          const offset = offsets[random.below(offsets.length)] as number;
          tracker.finish(open.get(offset) as ReturnType<OffsetTracker['add']>);
          open.delete(offset);
        }
        const expected = open.size === 0 ? undefined : Math.min(...open.keys());
        expect(tracker.low?.offset).toBe(expected);
      }
    }),
    { numRuns: 50 },
  );
});
