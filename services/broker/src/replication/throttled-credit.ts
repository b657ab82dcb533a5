/**
 * The credit for partitions that are throttled on the follower's side, handed to one leader a little
 * at a time: all links of a broker share one bucket of follower.replication.throttled.rate.
 */
import type { Timer, Timers } from '@barnabas/common';
import type { TokenBucket } from './throttle.js';

/** How often credit is handed out while somebody waits for it. */
const INTERVAL_MS = 50;

export class ThrottledCredit {
  /** Granted, and not back yet. */
  #outstanding = 0;
  #wanted = 0;
  #isOpen = false;
  #timer: Timer | undefined;

  constructor(
    private readonly bucket: TokenBucket,
    private readonly windowBytes: number,
    private readonly timers: Timers,
    private readonly grant: (bytes: number) => void,
  ) {}

  /** The stream is there. */
  begin(): void {
    this.#isOpen = true;
    this.#outstanding = 0;
    this.#handOut();
  }

  end(): void {
    this.#isOpen = false;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** So many partitions of this stream are throttled. */
  concerns(partitions: number): void {
    this.#wanted = partitions;
    this.#handOut();
  }

  /** What came under this credit has been taken in. */
  released(bytes: number): void {
    this.#outstanding -= bytes;
    this.#handOut();
  }

  #handOut(): void {
    if (!this.#isOpen || this.#wanted === 0) return;
    const bytes = Math.floor(Math.min(this.windowBytes - this.#outstanding, this.bucket.tokens));
    if (bytes > 0) {
      this.bucket.take(bytes);
      this.#outstanding += bytes;
      this.grant(bytes);
    }
    this.#timer ??= this.timers.after(INTERVAL_MS, () => {
      this.#timer = undefined;
      this.#handOut();
    });
  }
}
