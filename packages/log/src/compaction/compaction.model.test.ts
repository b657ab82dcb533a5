/**
 * Random histories of a compacted log against an array of all records that were ever appended: segments
 * close, passes run with small maps and odd high watermarks, appends and reads go on under them, the log
 * is cut, and the machine dies at any point of a pass and loses any part of what was not synced.
 *
 *   M1  what is read was appended, where it was appended, and batches cover every offset
 *   M2  the last record of each key is there; of a tombstone, nothing older is there if it is gone
 *   M3  below what a finished pass calls clean, no record is there that a later one there supersedes
 *   M4  a tombstone does not go before its time
 */
import { SeededRandom } from '@barnabas/common';
import { BatchBuilder, decodeRecords } from '@barnabas/protocol';
import * as fc from 'fast-check';
import { KeyMap, UNLIMITED } from '../index.js';
import type { LogConfig, PartitionLog } from '../index.js';
import { World } from '../test-support.js';

type Step =
  | { readonly do: 'put'; readonly keys: readonly number[]; readonly producer: boolean }
  | { readonly do: 'roll' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'compact'; readonly upTo: number; readonly meanwhile: boolean }
  | { readonly do: 'compactAndDie'; readonly after: number; readonly seed: number; readonly holes: boolean }
  | { readonly do: 'truncate'; readonly to: number }
  | { readonly do: 'deleteRecords'; readonly before: number }
  | { readonly do: 'crash'; readonly seed: number; readonly holes: boolean };

const share = fc.double({ min: 0, max: 1, noNaN: true });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('put' as const),
        // Even numbers put, odd ones delete.
        keys: fc.array(fc.integer({ min: 0, max: 11 }), { minLength: 1, maxLength: 6 }),
        producer: fc.boolean(),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('roll' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 1_500 }) }) },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('compact' as const), upTo: share, meanwhile: fc.boolean() }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('compactAndDie' as const),
        after: fc.integer({ min: 0, max: 12 }),
        seed: fc.integer(),
        holes: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const), to: share }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('deleteRecords' as const), before: share }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('crash' as const), seed: fc.integer(), holes: fc.boolean() }),
    },
  ),
  { minLength: 5, maxLength: 50, size: 'max' },
);

interface Written {
  readonly offset: number;
  readonly key: string;
  readonly value: string | null;
}

const DELETE_RETENTION_MS = 1_000;
const PRODUCER = { producerId: 3, producerEpoch: 0 };

class Play {
  readonly world = new World({ limits: { tailCacheBytes: 300, maxWriteBytes: 300 } });
  readonly keys: KeyMap;
  log!: PartitionLog;
  written: Written[] = [];
  cleanedTo = 0;
  /** High watermarks that passes were given: a replica does not truncate below, short of an unclean election. */
  committedTo = 0;
  /** As far as a pass may have got that did not live to say so. */
  mayBeCleanTo = 0;
  /** Offset to the time at which a pass first called it clean. */
  readonly cleanAt = new Map<number, number>();
  #names = 0;
  #sequence = 0;

  constructor(private readonly config: Partial<LogConfig> & { readonly mapKeys: number }) {
    this.keys = new KeyMap(24 * config.mapKeys);
  }

  async open(): Promise<this> {
    this.log = await this.world.open(this.#logConfig());
    return this;
  }

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case 'put':
        this.put(step.keys, step.producer);
        return;
      case 'roll':
        // Closing closes the segment; everything is on disk then.
        await this.world.stop();
        await this.open();
        return;
      case 'wait':
        this.world.time.advance(step.ms);
        return;
      case 'compact':
        return this.#compact(Math.ceil(step.upTo * this.log.logEndOffset), step.meanwhile);
      case 'compactAndDie':
        return this.#compactAndDie(step.after, step.seed, step.holes);
      case 'truncate':
        return this.#truncate(this.committedTo + Math.floor(step.to * (this.log.logEndOffset - this.committedTo)));
      case 'deleteRecords':
        await this.log.flush();
        return this.log.deleteRecordsBefore(Math.floor(step.before * this.log.logEndOffset));
      case 'crash':
        return this.#crash(step.seed, step.holes);
    }
  }

  put(keys: readonly number[], byProducer: boolean): void {
    const builder = new BatchBuilder({ maxBytes: 1 << 16 });
    const timestamp = this.world.time.now();
    const baseOffset = this.log.logEndOffset;
    for (const [index, number] of keys.entries()) {
      const key = `key${number >> 1}`;
      const value = number % 2 === 0 ? `value ${this.#names++}` : null;
      builder.tryAppend({
        ...{ key: Buffer.from(key), value: value === null ? null : Buffer.from(value), headers: [], timestamp },
      });
      this.written.push({ offset: baseOffset + index, key, value });
    }
    const producer = byProducer ? { ...PRODUCER, baseSequence: this.#sequence } : undefined;
    if (byProducer) this.#sequence += keys.length;
    this.log.appendAsLeader(builder.build(producer), { leaderEpoch: 0, now: timestamp });
  }

  /** M1 to M4. */
  async check(): Promise<void> {
    const found = await this.#read();
    const byOffset = new Map(this.written.map((record) => [record.offset, record]));
    for (const record of found.values()) expect(record).toEqual(byOffset.get(record.offset));
    const last = new Map(this.written.map((record) => [record.key, record]));
    const alive = this.written.filter(({ offset }) => offset >= this.log.logStartOffset);
    for (const { key, offset, value } of last.values()) {
      if (offset < this.log.logStartOffset || found.has(offset)) continue;
      if (value !== null) throw new Error(`the last record of ${key}, ${offset}, is gone`);
      const older = alive.filter((record) => record.key === key && found.has(record.offset));
      expect(older).toEqual([]);
      const cleanAt = this.cleanAt.get(offset);
      if (cleanAt === undefined || this.world.time.now() - cleanAt < DELETE_RETENTION_MS) {
        throw new Error(`the tombstone at ${offset} went too early`);
      }
    }
    const lastClean = new Map(
      this.written.filter(({ offset }) => offset < this.cleanedTo).map(({ key, offset }) => [key, offset]),
    );
    for (const { key, offset } of found.values()) {
      if (offset < this.cleanedTo && lastClean.get(key) !== offset) throw new Error(`${offset} is superseded`);
    }
  }

  async #read(): Promise<Map<number, Written>> {
    const found = new Map<number, Written>();
    const maxOffset = this.log.logEndOffset;
    for (let offset = this.log.logStartOffset; offset < maxOffset; ) {
      const from = offset;
      const { batches, nextOffset } = await this.log.read({ offset, maxOffset, maxBytes: 200, minOneBatch: true });
      for (const batch of batches) {
        for (const record of decodeRecords(batch)) {
          if (record.offset < from) continue;
          const value = record.value === null ? null : String(record.value);
          found.set(record.offset, { offset: record.offset, key: String(record.key), value });
        }
      }
      if (nextOffset === offset) throw new Error(`nothing was read at ${offset}`);
      offset = nextOffset;
    }
    return found;
  }

  async #compact(highWatermark: number, meanwhile: boolean): Promise<void> {
    const now = this.world.time.now();
    this.committedTo = Math.max(this.committedTo, highWatermark);
    let paced = 0;
    const result = await this.log.compact({
      ...{ now, highWatermark, keys: this.keys },
      pace: async () => {
        if (!meanwhile) return;
        if (paced++ % 2 === 0) this.put([paced % 12, (paced * 5) % 12], false);
        else expect((await this.#read()).size).toBeGreaterThan(0);
      },
    });
    expect(result.cleanedTo).toBeGreaterThanOrEqual(this.cleanedTo);
    expect(result.cleanedTo).toBeLessThanOrEqual(Math.max(highWatermark, this.mayBeCleanTo));
    this.#cleaned(result.cleanedTo, now);
  }

  #cleaned(cleanedTo: number, now: number): void {
    this.cleanedTo = cleanedTo;
    this.mayBeCleanTo = Math.max(cleanedTo, this.mayBeCleanTo);
    for (let offset = 0; offset < cleanedTo; offset++) if (!this.cleanAt.has(offset)) this.cleanAt.set(offset, now);
  }

  /** The machine dies at some point of a pass. What the pass had finished by then is not known. */
  async #compactAndDie(after: number, seed: number, holes: boolean): Promise<void> {
    await this.log.flush();
    this.committedTo = this.log.logEndOffset;
    const now = this.world.time.now();
    let paced = 0;
    await new Promise<void>((resolve) => {
      const pace = (): Promise<void> => {
        if (paced++ < after) return Promise.resolve();
        resolve();
        return new Promise(() => undefined);
      };
      const options = { now, highWatermark: this.log.logEndOffset, keys: this.keys, pace };
      this.log.compact(options).then(
        () => resolve(),
        () => resolve(),
      );
    });
    for (let offset = 0; offset < this.log.logEndOffset; offset++) {
      if (!this.cleanAt.has(offset)) this.cleanAt.set(offset, now);
    }
    this.mayBeCleanTo = Math.max(this.mayBeCleanTo, this.log.logEndOffset);
    await this.#crash(seed, holes);
  }

  async #crash(seed: number, holes: boolean): Promise<void> {
    const start = this.log.logStartOffset;
    this.world.crash({ random: new SeededRandom(seed), holes });
    await this.open();
    expect(this.log.logStartOffset).toBeGreaterThanOrEqual(start);
    this.#cut(this.log.logEndOffset);
  }

  async #truncate(to: number): Promise<void> {
    await this.log.whenStable();
    const beginsAnew = to < this.log.logStartOffset;
    await this.log.truncateTo(to);
    // The start of the batch that held the offset; or the log begins anew there.
    this.#cut(this.log.logEndOffset);
    if (!beginsAnew) return;
    this.written = [];
    this.cleanedTo = 0;
    this.committedTo = 0;
  }

  #cut(logEndOffset: number): void {
    this.written = this.written.filter(({ offset }) => offset < logEndOffset);
    this.cleanedTo = Math.min(this.cleanedTo, logEndOffset);
    this.mayBeCleanTo = Math.min(this.mayBeCleanTo, logEndOffset);
    this.committedTo = Math.min(this.committedTo, logEndOffset);
    for (const offset of [...this.cleanAt.keys()]) if (offset >= logEndOffset) this.cleanAt.delete(offset);
    this.#sequence = 0;
    // A new producer: what the log still knows of the old one does not matter to it.
    PRODUCER.producerId++;
  }

  #logConfig(): Partial<LogConfig> {
    const { mapKeys: _, ...config } = this.config;
    return { cleanupPolicy: ['compact'], deleteRetentionMs: DELETE_RETENTION_MS, ...config };
  }
}

const settings = fc.record({
  segmentBytes: fc.constantFrom(300, 900, 1_000_000),
  flushMessages: fc.constantFrom(1, 3, UNLIMITED),
  mapKeys: fc.constantFrom(0, 20, 1_000),
});

test('a compacted log is what is left of an array of records', async () => {
  await fc.assert(
    fc.asyncProperty(steps, settings, async (history, config) => {
      const play = await new Play(config).open();
      try {
        for (const step of history) {
          await play.step(step);
          await play.check();
        }
        await play.log.flush();
        expect(await play.log.verify()).toMatchObject({ corruption: undefined });
        expect(play.world.offline).toEqual([]);
      } finally {
        await play.world.stop();
      }
    }),
    { numRuns: Number(process.env['COMPACTION_RUNS'] ?? 150) },
  );
});
