/**
 * Answers of one shard that wait until what they rest on is committed: until the high watermark has
 * reached the log end that their decision left behind (R3 of group-shard.ts).
 *
 * All wait equally long, and the log end only grows, so one queue is in order of offsets and of
 * deadlines at once.
 */
import { deferred } from '@barnabas/common';
import type { Clock, Deferred, Timer, Timers } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import { Fifo } from '../core/fifo.js';

interface Wait {
  readonly endOffset: number;
  readonly deadline: number;
  readonly late: () => BarnabasError;
  readonly done: Deferred<void>;
}

export interface CommitWaitsOptions {
  /** offsets.commit.timeout.ms. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
}

export class CommitWaits {
  readonly #waits = new Fifo<Wait>();
  #timer: Timer | undefined;

  constructor(private readonly options: CommitWaitsOptions) {}

  get size(): number {
    return this.#waits.length;
  }

  /** Resolves when the high watermark has reached the offset; rejects with what `late` says after the timeout. */
  reached(endOffset: number, late: () => BarnabasError): Promise<void> {
    const { timeoutMs, clock } = this.options;
    const wait = { endOffset, late, deadline: clock.monotonic() + timeoutMs, done: deferred<void>() };
    this.#waits.push(wait);
    this.#wake();
    return wait.done.promise;
  }

  advance(highWatermark: number): void {
    for (let first = this.#waits.peek(); first !== undefined; first = this.#waits.peek()) {
      if (first.endOffset > highWatermark) return;
      this.#waits.shift();
      first.done.resolve();
    }
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Nobody waits here any longer. */
  fail(error: BarnabasError): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const { done } of this.#waits.drain()) done.reject(error);
  }

  #wake(): void {
    const first = this.#waits.peek();
    if (this.#timer !== undefined || first === undefined) return;
    const { clock, timers } = this.options;
    this.#timer = timers.after(Math.max(0, first.deadline - clock.monotonic()), () => {
      this.#timer = undefined;
      this.#expire();
    });
  }

  #expire(): void {
    const now = this.options.clock.monotonic();
    for (let first = this.#waits.peek(); first !== undefined && first.deadline <= now; first = this.#waits.peek()) {
      this.#waits.shift();
      first.done.reject(first.late());
    }
    this.#wake();
  }
}
