/**
 * Whether a log may be used, and what a failure makes of that: online, then offline or closed for
 * good. The one place that decides which errors take a log offline.
 */
import type { Logger } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import { StoreError } from '@barnabas/store';
import { closedLog, corruptLog, failedStorage, nameOf } from './storage-errors.js';
import { CorruptEntry } from './stored-batches.js';
import type { TopicPartition } from './types.js';

export interface HealthOptions {
  readonly logger: Logger;
  /** Called once, when the log goes offline. */
  readonly onOffline: (error: BarnabasError) => void;
}

export class LogHealth {
  #offline: BarnabasError | undefined;
  #closed = false;

  constructor(
    private readonly log: TopicPartition,
    private readonly options: HealthOptions,
  ) {}

  get offline(): BarnabasError | undefined {
    return this.#offline;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  mustBeUsable(): void {
    if (this.#offline !== undefined) throw this.#offline;
    if (this.#closed) throw closedLog(this.log);
  }

  close(): BarnabasError {
    this.#closed = true;
    return closedLog(this.log);
  }

  /** What to throw for a failure; corruption and a failing disk take the log offline. */
  blame(error: unknown): Error {
    if (this.#closed) return closedLog(this.log);
    if (error instanceof CorruptEntry) return this.#goOffline(corruptLog(this.log, error.offset, error.message, error));
    if (error instanceof StoreError) return this.#goOffline(failedStorage(this.log, error));
    return error instanceof Error ? error : new Error(String(error));
  }

  /** For a failed write, whatever the reason: what is in memory and what is on disk differ now. */
  blameWrite(error: unknown): BarnabasError {
    return this.#closed ? closedLog(this.log) : this.#goOffline(failedStorage(this.log, error));
  }

  #goOffline(error: BarnabasError): BarnabasError {
    if (this.#offline !== undefined) return this.#offline;
    this.#offline = error;
    this.options.logger.error('a partition log went offline', {
      partition: nameOf(this.log),
      action: 'repair the disk or let the replica be fetched again from one in sync, then restart the broker',
      error,
    });
    this.options.onOffline(error);
    return error;
  }
}
