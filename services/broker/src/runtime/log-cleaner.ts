/**
 * Compacts logs of topics with cleanup.policy compact: every log.cleaner.backoff.ms, those that are due,
 * the dirtiest first, one at a time, so that one map of keys serves all of them, and not faster than
 * log.cleaner.io.max.bytes.per.second. What is due and what compaction does: @barnabas/log.
 */
import { InvariantError, deferred } from '@barnabas/common';
import type { Clock, Deferred, Logger, Timer, Timers } from '@barnabas/common';
import { BYTES_PER_KEY, KeyMap } from '@barnabas/log';
import type { CompactionPlan, LogManager, PartitionLog } from '@barnabas/log';
import type { ReplicaDriver, ReplicaPartition } from './replica-driver.js';

export interface LogCleanerOptions {
  readonly driver: ReplicaDriver;
  readonly logs: LogManager;
  readonly backoffMs: number;
  readonly maxBytesPerSecond: number;
  /** Of the map of keys: a log with more keys than fit takes several passes. */
  readonly maxMapBytes: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly onFault: (fault: Error) => void;
}

interface Candidate {
  readonly partition: ReplicaPartition;
  readonly log: PartitionLog;
  readonly plan: CompactionPlan;
}

/** Room for a key more than there are records, at the load at which the map counts as full. */
const MAP_SLACK = 1.5;

export class LogCleaner {
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #over = false;
  /** A pace that is being kept: ended at once by stop. */
  #pause: { readonly timer: Timer; readonly done: Deferred<void> } | undefined;

  constructor(private readonly options: LogCleanerOptions) {}

  start(): void {
    const { timers, backoffMs } = this.options;
    if (this.#over) return;
    this.#timer = timers.after(backoffMs, () => {
      this.#running = this.runOnce().finally(() => this.start());
    });
  }

  async stop(): Promise<void> {
    this.#over = true;
    this.#timer?.cancel();
    this.#pause?.timer.cancel();
    this.#pause?.done.resolve();
    await this.#running;
  }

  /** Everything that is due by now. */
  async runOnce(): Promise<void> {
    try {
      const due = (await this.#candidates()).filter(({ plan }) => plan.isDue);
      due.sort((one, other) => other.plan.dirtyRatio - one.plan.dirtyRatio);
      for (const candidate of due) if (!this.#over) await this.#compact(candidate);
    } catch (error) {
      this.options.logger.warn('Logs could not be looked through for compaction', {
        action: 'look at the disk; it is tried again after log.cleaner.backoff.ms',
        error,
      });
    }
  }

  async #candidates(): Promise<Candidate[]> {
    const { driver, logs, clock } = this.options;
    const stored = new Set((await logs.storedLogs()).map(({ topicId, partition }) => `${topicId}-${partition}`));
    const found: Candidate[] = [];
    for (const partition of [...driver.partitions()]) {
      const { topicId, partition: number } = partition;
      if (this.#over || !stored.has(`${topicId}-${number}`)) continue;
      // A log that nobody has used since the start is opened for it; one that fails says so by itself.
      const log = logs.log(topicId, number) ?? (await this.#opened(partition));
      const input = { now: clock.now(), highWatermark: partition.lastStableOffset };
      const plan = log?.offline === undefined ? log?.compactionPlan(input) : undefined;
      if (log !== undefined && plan !== undefined) found.push({ partition, log, plan });
    }
    return found;
  }

  async #opened(partition: ReplicaPartition): Promise<PartitionLog | undefined> {
    if (partition.refusal() !== undefined) return undefined;
    return this.options.driver.openLog(partition).catch(() => undefined);
  }

  async #compact({ partition, log, plan }: Candidate): Promise<void> {
    const { clock, logger, maxMapBytes } = this.options;
    const { topic, partition: number } = partition;
    const keys = new KeyMap(Math.min(maxMapBytes, Math.ceil((plan.to - plan.from) * MAP_SLACK) * BYTES_PER_KEY));
    try {
      const result = await log.compact({
        now: clock.now(),
        highWatermark: partition.lastStableOffset,
        keys,
        pace: (bytes) => this.#pace(bytes),
        isOver: () => this.#over,
      });
      logger.debug('Compacted a log', { topic, partition: number, ...result });
    } catch (error) {
      if (error instanceof InvariantError) this.options.onFault(error);
      // Taken offline or away in the meantime: somebody else has said so.
      if (log.offline !== undefined || this.#over || partition.log.kind !== 'online') return;
      logger.warn('Compaction failed for a partition', {
        action: 'look at the disk; it is tried again after log.cleaner.backoff.ms',
        topic,
        partition: number,
        error,
      });
    }
  }

  /** Waits for as long as so many bytes may take. */
  async #pace(bytes: number): Promise<void> {
    const ms = (bytes / this.options.maxBytesPerSecond) * 1000;
    // Also where no limit is set: other work of the process goes first.
    if (this.#over) return;
    const done = deferred<void>();
    this.#pause = { timer: this.options.timers.after(ms, () => done.resolve()), done };
    await done.promise;
    this.#pause = undefined;
  }
}
