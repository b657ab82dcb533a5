/**
 * Linearizable reads without writing (dissertation, 6.4). By read index: a barrier notes the commit
 * index, and is proven when a majority has answered a round of heartbeats that began after it. By
 * lease: a majority that answered a round follows nobody else for an election time-out from when the
 * round began.
 *
 * Invariants:
 *   R1  a barrier's index is at least the commit index of when it was asked for, and that index was
 *       known to this leader, which it is only once an entry of its own term is committed
 *   R2  a lease counts from before its heartbeats were sent, not from when they were answered
 */
import type { Ready } from './types.js';

export class ReadBarriers {
  /** Asked for, and part of no round yet. */
  #waiting: number[] = [];
  #rounds: { readonly round: number; readonly index: number; readonly ids: readonly number[] }[] = [];
  #round = 0;
  /** When rounds began, from the last confirmed one on. */
  #begun: { readonly round: number; readonly at: number }[] = [];

  /** The current round, which every heartbeat carries. */
  get round(): number {
    return this.#round;
  }

  /** Somebody waits for a round to begin. */
  get isDue(): boolean {
    return this.#waiting.length > 0;
  }

  add(id: number): void {
    this.#waiting.push(id);
  }

  /** Begins a round for all barriers waiting, at a time on the clock of leases. */
  begin(commitIndex: number, now: number): void {
    this.#round++;
    this.#begun.push({ round: this.#round, at: now });
    if (this.#waiting.length > 0) this.#rounds.push({ round: this.#round, index: commitIndex, ids: this.#waiting });
    this.#waiting = [];
  }

  /** A majority has confirmed this leader in the round, and so in all earlier ones. */
  confirm(confirmedRound: number): { id: number; index: number }[] {
    const proven: Ready['reads'][number][] = [];
    for (let first = this.#rounds[0]; first !== undefined && first.round <= confirmedRound; first = this.#rounds[0]) {
      const { index } = first;
      for (const id of first.ids) proven.push({ id, index });
      this.#rounds.shift();
    }
    const kept = this.#begun.findLastIndex(({ round }) => round <= confirmedRound);
    if (kept > 0) this.#begun.splice(0, kept);
    return proven;
  }

  /** When a round began, or the last one before it that is known. */
  begunAt(confirmedRound: number): number | undefined {
    return this.#begun.findLast(({ round }) => round <= confirmedRound)?.at;
  }

  /** All barriers that are not proven. */
  abandon(): number[] {
    const ids = [...this.#rounds.flatMap(({ ids }) => ids), ...this.#waiting];
    this.#rounds = [];
    this.#waiting = [];
    return ids;
  }
}
