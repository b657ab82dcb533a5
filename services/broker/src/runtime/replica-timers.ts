/**
 * What the replica manager does when time has passed: deadlines of produce entries, the look for
 * followers that lag, and what is tried again after a pause. Nothing of it happens after `stop`.
 */
import type { Clock, Timer, Timers } from '@barnabas/common';
import type { Event } from './turns.js';

export interface ReplicaTimersOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Kafka's replica.lag.time.max.ms. */
  readonly replicaLagTimeMaxMs: number;
  readonly take: (event: Event) => void;
}

export class ReplicaTimers {
  readonly #pauses = new Set<Timer>();
  #deadline: Timer | undefined;
  #isrCheck: Timer | undefined;
  #stopped = false;

  constructor(private readonly options: ReplicaTimersOptions) {}

  /** Sends `tick` at this time (monotonic milliseconds); replaces an earlier wish. */
  wakeAt(at: number): void {
    const { clock, timers, take } = this.options;
    this.#deadline?.cancel();
    this.#deadline = timers.after(Math.max(0, at - clock.monotonic()), () => {
      this.#deadline = undefined;
      take({ type: 'tick', now: clock.monotonic() });
    });
  }

  /** Sends `isrCheck` again and again from now on, twice in the time in which a follower falls out. */
  checkIsr(): void {
    const { clock, timers, replicaLagTimeMaxMs, take } = this.options;
    if (this.#stopped) return;
    this.#isrCheck = timers.after(replicaLagTimeMaxMs / 2, () => {
      take({ type: 'isrCheck', now: clock.monotonic() });
      this.checkIsr();
    });
  }

  afterPause(pauseMs: number, then: () => void): void {
    const timer = this.options.timers.after(pauseMs, () => {
      this.#pauses.delete(timer);
      then();
    });
    this.#pauses.add(timer);
  }

  stop(): void {
    this.#stopped = true;
    this.#deadline?.cancel();
    this.#isrCheck?.cancel();
    for (const timer of this.#pauses) timer.cancel();
    this.#pauses.clear();
  }
}
