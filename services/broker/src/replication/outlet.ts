/** The way out to one follower, for all that a leader has to say to it: whether it takes more, and whether it is over. */
import type { internal } from '@barnabas/protocol';

/** Takes a message; false: full, `drained` will be called. */
export type Send = (message: internal.LeaderPart) => boolean;

export class Outlet {
  #blocked = false;
  #closed = false;

  constructor(private readonly take: Send) {}

  /** Full, or over: what can wait or be left out is not to be sent now. */
  get isBlocked(): boolean {
    return this.#blocked || this.#closed;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Also while it is full: what has to be said is not held back. */
  send(message: internal.LeaderPart): void {
    if (this.#closed) return;
    if (!this.take(message)) this.#blocked = true;
  }

  drained(): void {
    this.#blocked = false;
  }

  close(): void {
    this.#closed = true;
  }
}
