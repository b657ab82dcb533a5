/**
 * The timer of auto.leader.rebalance.enable: looks every so often, while this controller is active, at
 * which leaderships should go back. What moves is decided in core/election-control.ts.
 */
import type { Logger, Timer, Timers } from '@barnabas/common';
import type { Rebalance } from '../core/index.js';

export interface LeaderBalanceOptions {
  readonly timers: Timers;
  readonly logger: Logger;
  /** leader.imbalance.check.interval.seconds, in milliseconds. */
  readonly intervalMs: number;
  /** Decides and commits one step; undefined if this controller is not active any more. */
  readonly rebalance: () => Promise<Rebalance | undefined>;
}

export class LeaderBalance {
  #timer: Timer | undefined;
  /** Ends what an earlier activation has under way. */
  #generation = 0;

  constructor(private readonly options: LeaderBalanceOptions) {}

  start(): void {
    this.stop();
    this.#arm(this.#generation);
  }

  stop(): void {
    this.#generation++;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(generation: number): void {
    this.#timer = this.options.timers.after(this.options.intervalMs, () => {
      this.#look(generation).catch(() => {});
    });
  }

  /** Step after step until nothing is left to move. */
  async #look(generation: number): Promise<void> {
    let moved = 0;
    for (;;) {
      const step = await this.options.rebalance();
      if (generation !== this.#generation) return;
      // Not active any more: the next activation starts anew.
      if (step === undefined) return;
      moved += step.moved;
      if (!step.isMore) break;
    }
    if (moved > 0) this.options.logger.info('Leaderships went back to preferred leaders', { moved });
    this.#arm(generation);
  }
}
