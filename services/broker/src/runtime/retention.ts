/**
 * Looks through the logs every log.retention.check.interval.ms and drops what retention.ms and
 * retention.bytes say. One log after another: dropping costs disk time that appends need more. A log
 * that nobody has used since the start is opened for it, since its records grow old all the same.
 */
import { InvariantError } from '@barnabas/common';
import type { Clock, Logger, Timer, Timers } from '@barnabas/common';
import type { LogManager } from '@barnabas/log';
import type { ReplicaDriver, ReplicaPartition } from './replica-driver.js';

export interface RetentionOptions {
  readonly driver: ReplicaDriver;
  readonly logs: LogManager;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly onFault: (fault: Error) => void;
}

export class Retention {
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #over = false;

  constructor(private readonly options: RetentionOptions) {}

  start(): void {
    const { timers, intervalMs } = this.options;
    if (this.#over) return;
    this.#timer = timers.after(intervalMs, () => {
      this.#running = this.runOnce().finally(() => this.start());
    });
  }

  async stop(): Promise<void> {
    this.#over = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async runOnce(): Promise<void> {
    const { driver, logs, logger } = this.options;
    try {
      const stored = new Set((await logs.storedLogs()).map(({ topicId, partition }) => `${topicId}-${partition}`));
      for (const partition of [...driver.partitions()]) {
        if (this.#over) return;
        const hasFiles = stored.has(`${partition.topicId}-${partition.partition}`);
        if (hasFiles && partition.refusal() === undefined) await this.#apply(partition);
      }
    } catch (error) {
      logger.warn('Logs could not be looked through for retention', {
        action: 'look at the disk; it is tried again after log.retention.check.interval.ms',
        error,
      });
    }
  }

  async #apply(partition: ReplicaPartition): Promise<void> {
    const { driver, clock, logger } = this.options;
    const { topic, partition: number } = partition;
    try {
      const log = await driver.openLog(partition);
      const { highWatermark } = partition;
      const result = await log.applyRetention({ now: clock.now(), highWatermark });
      driver.logStartMoved(partition, result.logStartOffset);
      if (result.deletedSegments > 0)
        logger.debug('Retention dropped records', { topic, partition: number, ...result });
    } catch (error) {
      if (error instanceof InvariantError) this.options.onFault(error);
      // Taken offline or away in the meantime: somebody else has said so.
      if (partition.refusal() !== undefined) return;
      logger.warn('Retention failed for a partition', {
        action: 'look at the disk; it is tried again after log.retention.check.interval.ms',
        topic,
        partition: number,
        error,
      });
    }
  }
}
