/**
 * Takes planned appends to disk, in order, one write at a time: while a write is on its way the next
 * appends gather into one. Owns the flush policy and the numbers that say how far the disk is.
 *
 * Invariants (L3 to L5 of docs/protocols/partition-log.md):
 *   recoveryPoint <= stableEndOffset <= the end of what was enqueued;
 *   `stable` of an append resolves after the write, and after the sync where the policy asks for one;
 *   a segment end is written only when everything before it is synced;
 *   after a failure nothing more is written.
 */
import { assert, deferred } from '@barnabas/common';
import type { Clock, Deferred, Timer, Timers } from '@barnabas/common';
import type { StoreOperation } from '@barnabas/store';
import type { PlannedBatch } from './append-plan.js';
import { encodeKey } from './keys.js';
import type { LogMetrics } from './log-metrics.js';
import type { StoreHandle } from './open-stores.js';

/** One database write. */
interface Group {
  readonly baseOffset: number;
  readonly segmentEnd: Buffer | undefined;
  readonly batches: PlannedBatch[];
  readonly done: Deferred<void>;
  bytes: number;
  records: number;
  endOffset: number;
}

/** Somebody waits for everything below the offset to be synced. */
interface Flush {
  readonly endOffset: number;
  readonly done: Deferred<void>;
}

export interface FlushPolicy {
  readonly flushMessages: number;
  readonly flushMs: number;
}

export interface LogWriterOptions {
  readonly store: StoreHandle;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: LogMetrics;
  readonly maxWriteBytes: number;
  readonly maxUnstableBytes: number;
  readonly policy: () => FlushPolicy;
  /** The disk has everything below the offset: not necessarily synced. */
  readonly onWritten: (endOffset: number) => void;
  /** Called once; what it returns rejects everything that waits. */
  readonly onFailure: (error: unknown) => Error;
}

export class LogWriter {
  readonly #queue: Group[] = [];
  #writing: Group | undefined;
  #stableEndOffset: number;
  #recoveryPoint: number;
  #unstableBytes = 0;
  /** Records written since the last sync. */
  #unsyncedRecords = 0;
  #running: Promise<void> | undefined;
  #flushTimer: Timer | undefined;
  #flushes: Flush[] = [];
  #drained: Deferred<void> | undefined;
  #failure: Error | undefined;
  /** Somebody else changes what the disk has. */
  #isHeld = false;

  constructor(
    private readonly options: LogWriterOptions,
    endOffset: number,
  ) {
    this.#stableEndOffset = endOffset;
    this.#recoveryPoint = endOffset;
  }

  get stableEndOffset(): number {
    return this.#stableEndOffset;
  }

  get recoveryPoint(): number {
    return this.#recoveryPoint;
  }

  get unstableBytes(): number {
    return this.#unstableBytes;
  }

  get isSaturated(): boolean {
    return this.#unstableBytes > this.options.maxUnstableBytes;
  }

  /** `segmentEnd` goes in front of the batches, which begin a new segment; either may be absent. */
  enqueue(baseOffset: number, segmentEnd: Buffer | undefined, batches: readonly PlannedBatch[]): Promise<void> {
    if (this.#failure !== undefined) return silenced(Promise.reject(this.#failure));
    let group = this.#queue.at(-1);
    if (group === undefined || segmentEnd !== undefined || group.bytes >= this.options.maxWriteBytes) {
      group = newGroup(baseOffset, segmentEnd);
      this.#queue.push(group);
      // `stable` need not be awaited: an append with acks=0 drops it.
      void silenced(group.done.promise);
    }
    for (const batch of batches) {
      assert(batch.header.baseOffset === group.endOffset, 'batches are written in order', {
        baseOffset: batch.header.baseOffset,
        endOffset: group.endOffset,
      });
      group.batches.push(batch);
      group.bytes += batch.bytes.length;
      // One without records (compaction leaves such, and followers fetch them) is to be synced like any other.
      group.records += Math.max(1, batch.header.recordCount);
      group.endOffset = batch.header.lastOffset + 1;
      this.#unstableBytes += batch.bytes.length;
    }
    this.#start();
    return group.done.promise;
  }

  /** Resolves when everything enqueued so far is stable. */
  whenStable(): Promise<void> {
    if (this.#failure !== undefined) return silenced(Promise.reject(this.#failure));
    const last = this.#queue.at(-1) ?? this.#writing;
    return last?.done.promise ?? Promise.resolve();
  }

  whenDrained(): Promise<void> {
    if (this.#failure !== undefined) return silenced(Promise.reject(this.#failure));
    if (!this.isSaturated) return Promise.resolve();
    this.#drained ??= deferred();
    return silenced(this.#drained.promise);
  }

  /** Syncs everything enqueued so far. */
  flush(): Promise<void> {
    if (this.#failure !== undefined) return silenced(Promise.reject(this.#failure));
    return this.#flushTo((this.#queue.at(-1) ?? this.#writing)?.endOffset ?? this.#stableEndOffset);
  }

  /** Resolves when nothing is on its way; never rejects. */
  async whenIdle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /**
   * Runs `change` while nothing is on its way; what falls due meanwhile, a flush by time above all, waits.
   * `change` resolves to where the log ends then, and the disk has all of it.
   */
  async whileIdle(change: () => Promise<number>): Promise<void> {
    await this.whenIdle();
    assert(!this.#isHeld, 'a log is changed in one way at a time');
    this.#isHeld = true;
    try {
      this.#reset(await change());
    } finally {
      this.#isHeld = false;
      this.#startIfDue();
    }
  }

  /** Rejects everything that waits, now and later. */
  stop(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#cancelTimer();
    for (const group of this.#queue.splice(0)) group.done.reject(error);
    for (const flush of this.#flushes.splice(0)) flush.done.reject(error);
    this.#drained?.reject(error);
    this.#unstableBytes = 0;
  }

  #reset(endOffset: number): void {
    this.#cancelTimer();
    this.#unsyncedRecords = 0;
    this.#stableEndOffset = endOffset;
    this.#recoveryPoint = endOffset;
    // What was to be synced is, or is no more.
    for (const flush of this.#flushes.splice(0)) flush.done.resolve();
  }

  #flushTo(endOffset: number): Promise<void> {
    const flush = { endOffset, done: deferred<void>() };
    this.#flushes.push(flush);
    this.#start();
    return silenced(flush.done.promise);
  }

  #start(): void {
    if (this.#failure !== undefined || this.#running !== undefined || this.#isHeld) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      // What was enqueued between the loop's last look and now.
      this.#startIfDue();
    });
  }

  #startIfDue(): void {
    if (this.#queue.length > 0 || this.#flushes.length > 0) this.#start();
  }

  async #run(): Promise<void> {
    // Appends of the same turn of the event loop gather before the first write.
    await Promise.resolve();
    try {
      while (this.#failure === undefined) {
        // Before the next write, or steady appends would put a due flush off for ever.
        if (this.#flushes.some((flush) => flush.endOffset <= this.#stableEndOffset)) await this.#flushDue();
        const group = this.#queue.shift();
        if (group !== undefined) await this.#write(group);
        else if (this.#flushes.length === 0) return;
      }
    } catch (error) {
      const failure = this.options.onFailure(error);
      this.#writing?.done.reject(failure);
      this.#writing = undefined;
      this.stop(failure);
    }
  }

  async #write(group: Group): Promise<void> {
    this.#writing = group;
    if (group.segmentEnd !== undefined) await this.#syncWritten();
    // A segment end alone closes a log or takes the place of deleted batches: nothing may outlast it.
    const isMark = group.batches.length === 0;
    const sync = isMark || this.#unsyncedRecords + group.records >= this.options.policy().flushMessages;
    const began = this.options.clock.monotonic();
    await this.options.store.use((store) => store.write(this.#operations(group), { sync }));
    this.options.metrics.written(group.bytes, sync, this.options.clock.monotonic() - began);
    if (this.#failure !== undefined) throw this.#failure;
    this.#written(group, sync);
  }

  #written(group: Group, synced: boolean): void {
    this.#writing = undefined;
    this.#stableEndOffset = group.endOffset;
    if (synced) this.#synced();
    else {
      this.#unsyncedRecords += group.records;
      this.#armTimer();
    }
    this.#unstableBytes -= group.bytes;
    this.options.onWritten(group.endOffset);
    group.done.resolve();
    if (this.#drained !== undefined && !this.isSaturated) {
      this.#drained.resolve();
      this.#drained = undefined;
    }
  }

  #operations(group: Group): StoreOperation[] {
    const operations: StoreOperation[] = [];
    if (group.segmentEnd !== undefined) {
      operations.push({ type: 'put', key: encodeKey(group.baseOffset, 'segmentEnd'), value: group.segmentEnd });
    }
    for (const { header, bytes } of group.batches) {
      const kind = header.baseOffset === this.#recoveryPoint ? 'batchAfterSync' : 'batch';
      operations.push({ type: 'put', key: encodeKey(header.baseOffset, kind), value: bytes });
    }
    return operations;
  }

  async #flushDue(): Promise<void> {
    await this.#syncWritten();
    const due = this.#flushes.filter((flush) => flush.endOffset <= this.#recoveryPoint);
    this.#flushes = this.#flushes.filter((flush) => flush.endOffset > this.#recoveryPoint);
    for (const flush of due) flush.done.resolve();
  }

  async #syncWritten(): Promise<void> {
    if (this.#recoveryPoint === this.#stableEndOffset) return;
    const began = this.options.clock.monotonic();
    await this.options.store.use((store) => store.sync());
    this.options.metrics.written(0, true, this.options.clock.monotonic() - began);
    this.#synced();
  }

  #synced(): void {
    this.#recoveryPoint = this.#stableEndOffset;
    this.#unsyncedRecords = 0;
    this.#cancelTimer();
  }

  #armTimer(): void {
    if (this.#flushTimer !== undefined) return;
    this.#flushTimer = this.options.timers.after(this.options.policy().flushMs, () => {
      this.#flushTimer = undefined;
      void this.#flushTo(this.#stableEndOffset);
    });
  }

  #cancelTimer(): void {
    this.#flushTimer?.cancel();
    this.#flushTimer = undefined;
  }
}

function newGroup(baseOffset: number, segmentEnd: Buffer | undefined): Group {
  return {
    baseOffset,
    segmentEnd,
    batches: [],
    done: deferred(),
    bytes: 0,
    records: 0,
    endOffset: baseOffset,
  };
}

/** A rejection that nobody waits for is no fault of the process: the log's state tells it too. */
function silenced(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined);
  return promise;
}
