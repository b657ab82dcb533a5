/** Time as a port: production code gets the system's, tests and the simulator a virtual one. */

export interface Clock {
  /** Milliseconds since the Unix epoch; may jump. For timestamps that people and records see. */
  now(): number;
  /** Milliseconds from an arbitrary origin; never goes back. For time-outs and durations. */
  monotonic(): number;
}

export interface Timer {
  /** Cancelling a timer that has fired, or twice, does nothing. */
  cancel(): void;
}

export interface Timers {
  /** Runs `callback` once after at least `delayMs` (0 or more). A pending timer keeps no process alive. */
  after(delayMs: number, callback: () => void): Timer;
}

/** A clock and timers that move only when told to. Due timers run in order of deadline, then of creation. */
export class VirtualTime implements Clock, Timers {
  #elapsed = 0;
  #sequence = 0;
  #pending: { deadline: number; sequence: number; callback: () => void }[] = [];

  constructor(readonly epochMs = 1_700_000_000_000) {}

  now(): number {
    return this.epochMs + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  after(delayMs: number, callback: () => void): Timer {
    const entry = { deadline: this.#elapsed + Math.max(0, delayMs), sequence: this.#sequence++, callback };
    const at = this.#pending.findIndex((other) => other.deadline > entry.deadline);
    if (at === -1) this.#pending.push(entry);
    else this.#pending.splice(at, 0, entry);
    return {
      cancel: () => {
        const index = this.#pending.indexOf(entry);
        if (index !== -1) this.#pending.splice(index, 1);
      },
    };
  }

  /** When the next timer is due, in monotonic milliseconds. */
  nextDeadline(): number | undefined {
    return this.#pending[0]?.deadline;
  }

  /** Moves time forward and runs what falls due on the way, including timers set meanwhile. */
  advance(byMs: number): void {
    const target = this.#elapsed + byMs;
    for (let next = this.#pending[0]; next !== undefined && next.deadline <= target; next = this.#pending[0]) {
      this.#pending.shift();
      this.#elapsed = Math.max(this.#elapsed, next.deadline);
      next.callback();
    }
    this.#elapsed = target;
  }
}
