/**
 * Random histories of a log against the simplest model of one: an array of records and a start.
 * After a crash of the machine the model says what must be there (all that was stable), what may be
 * (a prefix of the rest), and nothing else; reading checks every batch on the way.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '@barnabas/common';
import { levelStoreFactory } from '@barnabas/store';
import * as fc from 'fast-check';
import { UNLIMITED } from './index.js';
import type { LogConfig, PartitionLog } from './index.js';
import { readAll, World } from './test-support.js';
import type { WorldOptions } from './test-support.js';

type Step =
  | { readonly do: 'append'; readonly records: number; readonly idempotent: boolean; readonly wait: boolean }
  | { readonly do: 'resend' }
  | { readonly do: 'newEpoch' }
  | { readonly do: 'truncate'; readonly to: number }
  | { readonly do: 'restart'; readonly at: number }
  | { readonly do: 'deleteRecords'; readonly before: number }
  | { readonly do: 'retain' }
  | { readonly do: 'flush' }
  | { readonly do: 'reopen' }
  | { readonly do: 'crash'; readonly seed: number; readonly holes: boolean };

const share = fc.double({ min: 0, max: 1.1, noNaN: true });

function steps(withCrashes: boolean): fc.Arbitrary<Step[]> {
  const append = fc.record({
    do: fc.constant('append' as const),
    records: fc.integer({ min: 1, max: 4 }),
    idempotent: fc.boolean(),
    wait: fc.boolean(),
  });
  const rare = [
    fc.record({ do: fc.constant('resend' as const) }),
    fc.record({ do: fc.constant('newEpoch' as const) }),
    fc.record({ do: fc.constant('truncate' as const), to: share }),
    fc.record({ do: fc.constant('restart' as const), at: fc.integer({ min: 0, max: 200 }) }),
    fc.record({ do: fc.constant('deleteRecords' as const), before: share }),
    fc.record({ do: fc.constant('retain' as const) }),
    fc.record({ do: fc.constant('flush' as const) }),
    fc.record({ do: fc.constant('reopen' as const) }),
  ];
  const crash = fc.record({ do: fc.constant('crash' as const), seed: fc.integer(), holes: fc.boolean() });
  const step = fc.oneof(
    { arbitrary: append, weight: 8 },
    ...rare.map((arbitrary) => ({ arbitrary, weight: 1 })),
    ...(withCrashes ? [{ arbitrary: crash, weight: 2 }] : []),
  );
  return fc.array(step, { minLength: 1, maxLength: 40, size: 'max' });
}

interface ModelBatch {
  readonly baseOffset: number;
  readonly values: readonly string[];
  readonly leaderEpoch: number;
  /** undefined for a producer that is not idempotent. */
  readonly baseSequence: number | undefined;
}

const end = (batch: ModelBatch): number => batch.baseOffset + batch.values.length;

class Model {
  batches: ModelBatch[] = [];
  logStartOffset = 0;
  /** Where an empty log stands. */
  beginning = 0;
  leaderEpoch = 0;
  /** Everything below has been called stable. */
  stableTo = 0;
  #named = 0;

  get logEndOffset(): number {
    const last = this.batches.at(-1);
    return last === undefined ? this.beginning : end(last);
  }

  name(): string {
    return `record ${this.#named++}`;
  }

  cutTo(offset: number): void {
    this.batches = this.batches.filter((batch) => end(batch) <= offset);
    this.stableTo = Math.min(this.stableTo, this.logEndOffset);
  }

  /** The values at and above the log start. */
  values(): string[] {
    return this.batches.flatMap((batch) =>
      batch.values.filter((_value, index) => batch.baseOffset + index >= this.logStartOffset),
    );
  }

  /** The sequence of the one idempotent producer that comes next. */
  nextSequence(): number {
    const last = this.lastOfProducer();
    return last?.baseSequence === undefined ? 0 : last.baseSequence + last.values.length;
  }

  lastOfProducer(): ModelBatch | undefined {
    return this.batches.findLast((batch) => batch.baseSequence !== undefined);
  }
}

const PRODUCER = { producerId: 11, producerEpoch: 0 };

/** Plays a history on a real log and the model; reads everything back after every step. */
class Play {
  readonly model = new Model();
  readonly world: World;
  log: PartitionLog;

  private constructor(
    world: World,
    log: PartitionLog,
    private readonly config: Partial<LogConfig>,
  ) {
    this.world = world;
    this.log = log;
  }

  static async begin(config: Partial<LogConfig>, options: WorldOptions = {}): Promise<Play> {
    const world = new World({ limits: { tailCacheBytes: 400, maxWriteBytes: 300 }, ...options });
    return new Play(world, await world.open(config), config);
  }

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case 'append':
        return this.#append(step.records, step.idempotent, step.wait);
      case 'resend':
        return this.#resend();
      case 'newEpoch':
        this.model.leaderEpoch++;
        return;
      case 'truncate':
        return this.#truncate(Math.floor(step.to * this.model.logEndOffset));
      case 'restart':
        return this.#restart(step.at);
      case 'deleteRecords':
        return this.#deleteRecords(Math.floor(step.before * this.model.logEndOffset));
      case 'retain':
        return this.#retain();
      case 'flush':
        await this.log.flush();
        this.model.stableTo = this.model.logEndOffset;
        return;
      case 'reopen':
        this.log = await this.world.reopen(this.config);
        this.model.stableTo = this.model.logEndOffset;
        return;
      case 'crash':
        return this.#crash(step.seed, step.holes);
    }
  }

  async check(): Promise<void> {
    const { model, log } = this;
    expect([log.logStartOffset, log.logEndOffset]).toEqual([model.logStartOffset, model.logEndOffset]);
    expect(await readAll(log)).toEqual(model.values());
    // An epoch whose every batch is below the log start may be forgotten.
    const live = model.batches.filter((batch) => end(batch) > model.logStartOffset);
    for (const { leaderEpoch } of live) {
      const ends = live.filter((batch) => batch.leaderEpoch === leaderEpoch).map(end);
      expect(log.endOffsetForEpoch(leaderEpoch)).toEqual({ leaderEpoch, endOffset: Math.max(...ends) });
    }
  }

  async #append(records: number, idempotent: boolean, wait: boolean): Promise<void> {
    const { model } = this;
    const values = Array.from({ length: records }, () => model.name());
    const baseSequence = idempotent ? model.nextSequence() : undefined;
    const producer = baseSequence === undefined ? {} : { ...PRODUCER, baseSequence };
    const { leaderEpoch } = model;
    const result = this.world.append(this.log, values, { leaderEpoch, ...producer });
    expect(result).toMatchObject({ baseOffset: model.logEndOffset, duplicate: false });
    model.batches.push({ baseOffset: result.baseOffset, values, leaderEpoch, baseSequence });
    if (!wait) return;
    await result.stable;
    // What a sync has covered must outlive the machine; what the policy leaves unsynced need not.
    if (this.config.flushMessages === 1) model.stableTo = result.lastOffset + 1;
    else model.stableTo = Math.max(model.stableTo, this.log.recoveryPoint);
  }

  async #resend(): Promise<void> {
    const last = this.model.lastOfProducer();
    if (last?.baseSequence === undefined) return;
    const result = this.world.append(this.log, last.values, {
      leaderEpoch: this.model.leaderEpoch,
      ...PRODUCER,
      baseSequence: last.baseSequence,
    });
    expect(result).toMatchObject({ baseOffset: last.baseOffset, duplicate: true });
  }

  async #truncate(to: number): Promise<void> {
    await this.log.whenStable();
    await this.log.truncateTo(to);
    if (to < this.model.logStartOffset) return this.#restarted(to);
    this.model.cutTo(to);
    if (this.model.logEndOffset < this.model.logStartOffset) this.#restarted(this.model.logStartOffset);
  }

  async #restart(at: number): Promise<void> {
    await this.log.truncateFullyAndStartAt(at);
    this.#restarted(at);
  }

  #restarted(at: number): void {
    this.model.batches = [];
    this.model.beginning = at;
    this.model.logStartOffset = at;
    this.model.stableTo = at;
  }

  async #deleteRecords(before: number): Promise<void> {
    const { model } = this;
    if (before > model.logEndOffset) {
      await expect(this.log.deleteRecordsBefore(before)).rejects.toMatchObject({ errorName: 'OFFSET_OUT_OF_RANGE' });
      return;
    }
    await this.log.whenStable();
    await this.log.flush();
    model.stableTo = model.logEndOffset;
    await this.log.deleteRecordsBefore(before);
    model.logStartOffset = Math.max(model.logStartOffset, before);
  }

  /** Which segments go is retention's own business (retention.test.ts); that only whole old ones go is this test's. */
  async #retain(): Promise<void> {
    const { model } = this;
    await this.log.flush();
    model.stableTo = model.logEndOffset;
    const highWatermark = Math.floor((model.logStartOffset + model.logEndOffset) / 2);
    const { logStartOffset } = await this.log.applyRetention({ now: this.world.time.now(), highWatermark });
    expect(logStartOffset).toBeGreaterThanOrEqual(model.logStartOffset);
    expect(logStartOffset).toBeLessThanOrEqual(Math.max(highWatermark, model.logStartOffset));
    model.logStartOffset = logStartOffset;
  }

  async #crash(seed: number, holes: boolean): Promise<void> {
    const { model } = this;
    this.world.crash({ random: new SeededRandom(seed), holes });
    this.log = await this.world.open(this.config);
    // Everything stable is there, and of the rest a prefix; check() then compares the records.
    expect(this.log.logEndOffset).toBeGreaterThanOrEqual(model.stableTo);
    expect(model.batches.map(end)).toEqual(
      this.log.logEndOffset === model.beginning ? expect.anything() : expect.arrayContaining([this.log.logEndOffset]),
    );
    model.cutTo(this.log.logEndOffset);
    model.stableTo = model.logEndOffset;
  }
}

const config = fc.record({
  segmentBytes: fc.constantFrom(200, 600, 1_000_000),
  flushMessages: fc.constantFrom(1, 3, UNLIMITED, UNLIMITED),
  retentionBytes: fc.constant(500),
});

/** Without a look after each step the disk stays further behind. */
async function play(
  history: Step[],
  settings: Partial<LogConfig>,
  looks: boolean,
  options?: WorldOptions,
): Promise<void> {
  const game = await Play.begin(settings, options);
  try {
    for (const step of history) {
      await game.step(step);
      if (looks) await game.check();
    }
    await game.check();
    await game.log.whenStable();
    expect(await game.log.verify()).toMatchObject({ corruption: undefined });
    expect(game.world.offline).toEqual([]);
  } finally {
    await game.world.stop();
  }
}

describe('a partition log agrees with an array of records', () => {
  it('over a memory store whose machine dies', async () => {
    await fc.assert(
      fc.asyncProperty(steps(true), config, fc.boolean(), (history, settings, looks) => play(history, settings, looks)),
      { numRuns: 150 },
    );
  });

  it('over LevelDB', async () => {
    const root = await mkdtemp(join(tmpdir(), 'barnabas-log-'));
    let run = 0;
    try {
      await fc.assert(
        fc.asyncProperty(steps(false), config, (history, settings) =>
          play(history, settings, true, { factory: levelStoreFactory, directory: join(root, String(run++)) }),
        ),
        { numRuns: 15 },
      );
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});
