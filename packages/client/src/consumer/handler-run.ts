/**
 * Records or batches to handlers, several at a time, in order within each partition or key. Offsets advance
 * over what is done: the low watermark of each partition.
 *
 * Invariants:
 *   H1  at most `concurrency` handlers run; of one lane at most one
 *   H2  a batch is taken of a partition only when little of it waits, so that memory stays bounded and no
 *       slow partition keeps the others waiting
 *   H3  nothing of a partition is begun after it was revoked or lost
 *   H4  when a run is over, each partition goes on where the first thing is that was not done
 */
import { toBarnabasError } from '@barnabas/protocol';
import type { ConsumerRecord } from '../records.js';
import type { AssignedPartition } from './assigned-partition.js';
import { unreadable } from './batch-reader.js';
import type { BatchRecord, ConsumerBatch } from './consumer-batch.js';
import type { AssignedBatch } from './hand-out.js';
import { PartitionWork, WHOLE_PARTITION } from './partition-work.js';
import type { Lane } from './partition-work.js';
import type { Activity } from './poll-clock.js';
import type { Reading } from './reading.js';
import type { ResolvedRunOptions } from './run-options.js';

export interface HandlerRunParts {
  readonly reading: Reading;
  readonly options: ResolvedRunOptions;
  /** A handler has come back. */
  readonly onTurn: () => void;
}

/** Things begun before the event loop has its turn. */
const YIELD_AFTER = 1_000;

export class HandlerRun {
  readonly #parts: HandlerRunParts;
  readonly #works = new Map<AssignedPartition, PartitionWork>();
  #ready: Lane[] = [];
  /** Of partitions that are paused. */
  #held: Lane[] = [];
  /** Ids of what runs, in the order in which it began. */
  readonly #running = new Set<number>();
  #ids = 0;
  #sinceYield = 0;
  #isOver = false;
  #failure: unknown;
  #hasFailed = false;
  #whenDone: Promise<void> | undefined;

  constructor(parts: HandlerRunParts) {
    this.#parts = parts;
  }

  /** It lives as long as its oldest handler does not. */
  get activity(): Activity {
    const oldest = this.#running.values().next();
    return { turn: oldest.done === true ? -1 : oldest.value, isWaiting: oldest.done === true };
  }

  /** Resolves when stopped and everything begun is over; rejects with what the first handler that failed threw. */
  run(): Promise<void> {
    this.#whenDone ??= this.#run();
    return this.#whenDone;
  }

  /** Begins nothing more. */
  stop(): void {
    this.#isOver = true;
    this.#parts.reading.signal();
  }

  async #run(): Promise<void> {
    const { reading, options } = this.#parts;
    const onAbort = (): void => this.stop();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    if (options.signal?.aborted === true) this.#isOver = true;
    reading.start();
    while (!this.#isOver || this.#running.size > 0) {
      if (!this.#isOver) this.#fill();
      if (this.#isOver && this.#running.size === 0) break;
      await (this.#mayYield() ? new Promise<void>((resolve) => setImmediate(resolve)) : reading.whenMore());
    }
    options.signal?.removeEventListener('abort', onAbort);
    this.#giveBack();
    if (this.#hasFailed) throw this.#failure;
  }

  /** More is at hand than may be begun before others have their turn. */
  #mayYield(): boolean {
    const isDue = this.#sinceYield >= YIELD_AFTER || this.#parts.reading.shouldYield();
    if (isDue) this.#sinceYield = 0;
    return isDue;
  }

  #fill(): void {
    const { reading, options } = this.#parts;
    try {
      for (;;) {
        this.#begin();
        if (this.#running.size >= options.concurrency || this.#sinceYield >= YIELD_AFTER) return;
        const item = reading.handOut.takeReady((assigned) => this.#isReady(assigned));
        if (item === undefined) return;
        this.#add(item);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #isReady(assigned: AssignedPartition): boolean {
    if (assigned.isSuspended || assigned.isPaused) return false;
    const work = this.#works.get(assigned);
    if (work === undefined) return true;
    if (work.isStale) return work.running === 0;
    if (this.#parts.options.orderBy === 'partition') return work.queued + work.running === 0;
    return work.queued < this.#parts.options.concurrency;
  }

  #add({ assigned, batch }: AssignedBatch): void {
    const work = this.#workOf(assigned);
    const { eachBatch, eachRecord } = this.#parts.options;
    const start = { offset: assigned.position, leaderEpoch: assigned.positionEpoch };
    if (eachRecord === undefined) {
      this.#push(work.add(start, WHOLE_PARTITION, () => eachBatch?.(batch, { signal: assigned.signal })));
    } else {
      let at = start;
      for (const record of recordsOf(assigned, batch)) {
        const { topic, partition } = assigned;
        const whole: ConsumerRecord = { topic, partition, ...record };
        this.#push(work.add(at, this.#laneName(record), () => eachRecord(whole, { signal: assigned.signal })));
        at = { offset: record.offset + 1, leaderEpoch: batch.leaderEpoch };
      }
    }
    assigned.advance(batch.nextOffset, batch.leaderEpoch);
  }

  #workOf(assigned: AssignedPartition): PartitionWork {
    const known = this.#works.get(assigned);
    if (known !== undefined && !known.isStale) return known;
    for (const one of this.#works.keys()) if (one.isGone) this.#works.delete(one);
    const work = new PartitionWork(assigned);
    this.#works.set(assigned, work);
    return work;
  }

  #laneName({ key }: BatchRecord): string | undefined {
    if (this.#parts.options.orderBy === 'partition') return WHOLE_PARTITION;
    return key === null ? undefined : `=${key.toString('latin1')}`;
  }

  /** A lane that has just got its first thing to do waits for its turn. */
  #push(lane: Lane): void {
    if (!lane.isRunning && lane.tasks.length === 1) this.#ready.push(lane);
  }

  #begin(): void {
    const { concurrency } = this.#parts.options;
    const held = this.#held;
    this.#held = [];
    for (const lane of held) (lane.work.assigned.isPaused ? this.#held : this.#ready).push(lane);
    while (this.#ready.length > 0 && this.#running.size < concurrency && this.#sinceYield < YIELD_AFTER) {
      const lane = this.#ready.shift() as Lane;
      if (lane.work.isStale || this.#isOver) continue;
      if (lane.work.assigned.isPaused) {
        this.#held.push(lane);
        continue;
      }
      void this.#handle(lane);
    }
  }

  async #handle(lane: Lane): Promise<void> {
    const { work } = lane;
    const task = work.begin(lane);
    if (task === undefined) return;
    const id = ++this.#ids;
    this.#running.add(id);
    this.#sinceYield++;
    let isDone = false;
    try {
      // Never in the turn of whoever has brought it.
      await Promise.resolve();
      await task.handle();
      isDone = true;
    } catch (error) {
      // What is another's already may fail as it likes.
      if (!work.assigned.isGone) this.#fail(error);
    }
    this.#running.delete(id);
    work.end(task, isDone);
    if (lane.tasks.length > 0) this.#ready.push(lane);
    this.#parts.onTurn();
    this.#parts.reading.signal();
  }

  #fail(error: unknown): void {
    if (!this.#hasFailed) this.#failure = error;
    this.#hasFailed = true;
    this.#isOver = true;
  }

  /** What was taken and not done is read again by whoever reads next. */
  #giveBack(): void {
    for (const { assigned, isStale, low } of this.#works.values()) {
      if (!isStale && low !== undefined) assigned.moveTo(low);
    }
    this.#parts.reading.changed();
  }
}

function recordsOf(assigned: AssignedPartition, batch: ConsumerBatch): readonly BatchRecord[] {
  try {
    return batch.records;
  } catch (error) {
    throw unreadable(assigned, toBarnabasError(error));
  }
}
