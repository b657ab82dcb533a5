import { forEachBatch } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import fc from 'fast-check';
import { Recorded, batchEntry, batchOf, credit, produceRequest, subscribe, unsubscribe } from '../test-kit/requests.js';
import { TestBroker } from '../test-kit/test-broker.js';

/** Plenty: nothing is held back any more. */
const ALL = 2 ** 31;

interface Reader {
  readonly id: number;
  readonly partition: number;
  readonly from: number;
  unsubscribed: boolean;
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('produce' as const), partition: fc.nat(1), records: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant('credit' as const), bytes: fc.nat(2_000) }),
  fc.record({
    kind: fc.constant('subscribe' as const),
    partition: fc.nat(1),
    from: fc.nat(100),
    maxBytes: fc.constantFrom(1, 300, 1_000, 0),
    minBytes: fc.constantFrom(0, 0, 500),
  }),
  fc.record({ kind: fc.constant('unsubscribe' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('settle' as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** One stream under random use. Checks credit as messages arrive, and what every reader got at the end. */
class RandomUse {
  readonly #fetched: Recorded<v1.FetchResponse, v1.FetchRequest>;
  readonly #readers: Reader[] = [];
  readonly #ends = [0, 0];
  /** Granted and not yet used; a message may overdraw it once. */
  #credit = 0;
  #seen = 0;

  constructor(
    private readonly broker: TestBroker,
    private readonly topic: string,
  ) {
    this.#fetched = new Recorded(broker.log.fetch());
  }

  async run(next: Step): Promise<void> {
    switch (next.kind) {
      case 'produce': {
        const batch = batchOf(Array.from({ length: next.records }, () => 'x'.repeat(100)));
        await this.broker.log.produce(produceRequest([batchEntry(this.topic, batch, next.partition)]));
        this.#ends[next.partition] = this.#endOf(next.partition) + next.records;
        break;
      }
      case 'credit':
        this.#grant(next.bytes);
        break;
      case 'subscribe':
        this.#subscribe(next);
        break;
      case 'unsubscribe': {
        const reader = this.#readers[next.which % Math.max(1, this.#readers.length)];
        if (reader === undefined) break;
        reader.unsubscribed = true;
        this.#fetched.stream.write(unsubscribe(reader.id));
        break;
      }
      case 'settle':
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
        break;
    }
    this.#checkCredit();
  }

  async finish(): Promise<void> {
    this.#grant(ALL);
    const isDone = (messages: readonly v1.FetchResponse[]) =>
      this.#readers.every((reader) => {
        const own = messages.filter(({ subscriptionId }) => subscriptionId === reader.id);
        return own.some(({ ended, nextOffset }) => ended || nextOffset >= this.#endOf(reader.partition));
      });
    await this.#fetched.until(isDone);
    for (const reader of this.#readers) this.#check(reader);
    this.#fetched.stream.cancel();
  }

  #subscribe({ partition, from, maxBytes, minBytes }: Extract<Step, { kind: 'subscribe' }>): void {
    const end = this.#endOf(partition);
    const reader = { id: this.#readers.length, partition, from: end === 0 ? 0 : from % end, unsubscribed: false };
    this.#readers.push(reader);
    const { id: subscriptionId, from: offset } = reader;
    const request = { subscriptionId, topic: this.topic, partition, offset, maxBytes, minBytes, maxWaitMs: 5 };
    this.#fetched.stream.write(subscribe(request));
  }

  #grant(bytes: number): void {
    this.#credit += bytes;
    this.#fetched.stream.write(credit(bytes));
  }

  /** F3: what came was covered by credit when it was sent, apart from one message's overdraft. */
  #checkCredit(): void {
    for (; this.#seen < this.#fetched.messages.length; this.#seen++) {
      const bytes = this.#fetched.messages[this.#seen]?.batches.length ?? 0;
      if (bytes > 0) expect(this.#credit).toBeGreaterThan(0);
      this.#credit -= bytes;
    }
  }

  /** F2: whole batches, without gap or repetition, from the one that holds the first offset. */
  #check(reader: Reader): void {
    const own = this.#fetched.messages.filter(({ subscriptionId }) => subscriptionId === reader.id);
    const firstEnded = own.findIndex(({ ended }) => ended);
    if (firstEnded !== -1) expect(firstEnded).toBe(own.length - 1);
    expect(firstEnded === -1 || reader.unsubscribed).toBe(true);
    let next: number | undefined;
    for (const { batches, nextOffset, highWatermark, ended } of own) {
      if (ended) continue;
      forEachBatch(batches, (header) => {
        if (next === undefined) expect(header.lastOffset).toBeGreaterThanOrEqual(reader.from);
        else expect(header.baseOffset).toBe(next);
        next = header.lastOffset + 1;
      });
      // F1, as far as a client can see it.
      expect(nextOffset).toBeLessThanOrEqual(highWatermark);
      expect(nextOffset).toBe(next ?? reader.from);
    }
    if (!reader.unsubscribed) expect(own.at(-1)?.nextOffset).toBe(this.#endOf(reader.partition));
  }

  #endOf(partition: number): number {
    return this.#ends[partition] ?? 0;
  }
}

it('gives every reader every batch once and in order, within its credit, however it is used', async () => {
  const broker = await TestBroker.start();
  let topics = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const topic = `topic-${topics++}`;
      await broker.topic(topic, 2);
      const use = new RandomUse(broker, topic);
      for (const next of steps) await use.run(next);
      await use.finish();
    }),
    { numRuns: 100 },
  );
  await broker.stop();
});
