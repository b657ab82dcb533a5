/** Waiting longer after each failure: exponential with jitter, so that many callers do not return together. */
import type { Random, Timers } from '@barnabas/common';

export interface BackoffLimits {
  readonly minMs: number;
  readonly maxMs: number;
}

export class Backoff {
  #failures = 0;

  constructor(
    private readonly limits: BackoffLimits,
    private readonly random: Random,
  ) {}

  /** The next waiting time: doubled each time, minus up to half at random. */
  next(): number {
    const { minMs, maxMs } = this.limits;
    const full = Math.min(maxMs, minMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return full * (1 - this.random.float() / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}

/** Resolves after `delayMs`, or at once when the signal is aborted. */
export function delay(timers: Timers, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = () => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = timers.after(delayMs, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
