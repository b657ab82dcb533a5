/**
 * The time of a machine whose clock runs fast or slow: what its process takes for a second is
 * `1 / rate` seconds. Timers die with the process, as those of its scope do.
 */
import type { Clock, Timer, Timers } from '@barnabas/common';
import type { Scheduler, Scope } from './scheduler.js';

export class SkewedTime implements Clock, Timers {
  constructor(
    private readonly scheduler: Scheduler,
    private readonly scope: Scope,
    /** Above 1 for a clock that runs fast. */
    readonly rate: number,
  ) {}

  now(): number {
    return this.scheduler.clock().now() + this.scheduler.elapsedMs * (this.rate - 1);
  }

  monotonic(): number {
    return this.scheduler.elapsedMs * this.rate;
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.scope.after(delayMs / this.rate, callback);
  }
}
