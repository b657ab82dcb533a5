/**
 * The clock of a machine: it runs fast or slow, and is set right, or wrong, in steps. Only the time of day
 * steps; what processes measure time-outs with goes on at its own rate. It outlives the processes.
 */
import type { Clock, Timer, Timers } from '@barnabas/common';
import type { Scheduler, Scope } from '../../kernel/scheduler.js';

export class MachineClock implements Clock {
  #aheadMs = 0;

  constructor(
    private readonly scheduler: Scheduler,
    /** Above 1 for a clock that runs fast. */
    readonly rate: number,
  ) {}

  now(): number {
    const { scheduler, rate } = this;
    return Math.floor(scheduler.clock().now() + scheduler.elapsedMs * (rate - 1) + this.#aheadMs);
  }

  monotonic(): number {
    return this.scheduler.elapsedMs * this.rate;
  }

  /** Somebody sets it, so much ahead of the time that it is. */
  set(aheadMs: number): void {
    this.#aheadMs = aheadMs;
  }

  /** The timers of a process: they die with it. */
  timers(scope: Scope): Timers {
    return { after: (delayMs: number, callback: () => void): Timer => scope.after(delayMs / this.rate, callback) };
  }
}
