/**
 * The timer that finds brokers that have been silent for too long. What to do about them is decided elsewhere.
 *
 * A look that comes late forgives: the process stood still, and heartbeats may be waiting in its sockets.
 * It does so once, until a look has been on time again; on a machine that starves the controller every
 * look is late, and a dead broker would be forgiven for ever.
 */
import type { Clock, Timer, Timers } from '@barnabas/common';
import type { MetadataImage } from '@barnabas/metadata';
import type { BrokerSessions } from '../core/index.js';

export interface SessionWatchOptions {
  readonly sessions: BrokerSessions;
  readonly image: () => MetadataImage;
  readonly clock: Clock;
  readonly timers: Timers;
  /** broker.session.timeout.ms. */
  readonly timeoutMs: number;
  /** Some broker is due. Arms again when that has been dealt with. */
  readonly expire: () => void;
}

export class SessionWatch {
  #timer: Timer | undefined;
  #hasForgiven = false;

  constructor(private readonly options: SessionWatchOptions) {}

  /** Sees to it that the next broker that is due is noticed. Cheap when that is so already. */
  arm(): void {
    if (this.#timer !== undefined) return;
    const { sessions, image, clock, timers } = this.options;
    const now = clock.monotonic();
    const deadline = sessions.nextDeadline(image(), now);
    if (deadline === undefined) return;
    this.#timer = timers.after(Math.max(0, deadline - now), () => {
      this.#timer = undefined;
      this.#look(deadline);
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #look(expectedMs: number): void {
    const { sessions, image, clock, timeoutMs, expire } = this.options;
    const now = clock.monotonic();
    const isLate = now - expectedMs > timeoutMs / 2;
    if (isLate && !this.#hasForgiven) sessions.forgive(now);
    this.#hasForgiven = isLate;
    if (sessions.expired(image(), now).length > 0) expire();
    else this.arm();
  }
}
