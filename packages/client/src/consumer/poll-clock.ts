/**
 * Whether the application comes back in time (max.poll.interval.ms). Looks ten times an interval, so that
 * coming back costs no look at the clock: late by a tenth at most.
 */
import type { Timer } from '@barnabas/common';
import type { Environment } from '@barnabas/rpc';

/** What the application is at. */
export interface Activity {
  /** Changes whenever the application has come back. */
  readonly turn: number;
  /** It waits for records, or has nothing to do. */
  readonly isWaiting: boolean;
}

const LOOKS = 10;

export class PollClock {
  readonly #environment: Environment;
  readonly #maxPollIntervalMs: number;
  readonly #activity: () => Activity;
  readonly #onLate: () => void;
  #timer: Timer | undefined;
  #turn = -1;
  #sinceMs = 0;

  constructor(environment: Environment, maxPollIntervalMs: number, activity: () => Activity, onLate: () => void) {
    this.#environment = environment;
    this.#maxPollIntervalMs = maxPollIntervalMs;
    this.#activity = activity;
    this.#onLate = onLate;
  }

  start(): void {
    this.stop();
    this.#sinceMs = this.#now();
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    const delayMs = Math.max(1, Math.ceil(this.#maxPollIntervalMs / LOOKS));
    this.#timer = this.#environment.timers.after(delayMs, () => this.#look());
  }

  #look(): void {
    const { turn, isWaiting } = this.#activity();
    if (isWaiting || turn !== this.#turn) this.#sinceMs = this.#now();
    this.#turn = turn;
    if (this.#now() - this.#sinceMs < this.#maxPollIntervalMs) {
      this.#arm();
      return;
    }
    this.#timer = undefined;
    this.#onLate();
  }

  #now(): number {
    return this.#environment.clock.monotonic();
  }
}
