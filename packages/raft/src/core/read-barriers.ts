/**
 * Linearizable reads without writing (dissertation, 6.4): a barrier notes the commit index, and is
 * proven when a majority has answered a round of heartbeats that began after it.
 *
 * Invariant: R1 a barrier's index is at least the commit index of when it was asked for, and that
 * index was known to this leader, which it is only once an entry of its own term is committed.
 */
import type { Ready } from './types.js';

export class ReadBarriers {
  /** Asked for, and part of no round yet. */
  #waiting: number[] = [];
  #rounds: { readonly round: number; readonly index: number; readonly ids: readonly number[] }[] = [];
  #round = 0;

  /** The current round, which every heartbeat carries. */
  get round(): number {
    return this.#round;
  }

  add(id: number): void {
    this.#waiting.push(id);
  }

  /** Begins a round for all barriers waiting. False if there is none. */
  begin(commitIndex: number): boolean {
    if (this.#waiting.length === 0) return false;
    this.#round++;
    this.#rounds.push({ round: this.#round, index: commitIndex, ids: this.#waiting });
    this.#waiting = [];
    return true;
  }

  /** A majority has confirmed this leader in the round, and so in all earlier ones. */
  confirm(confirmedRound: number): { id: number; index: number }[] {
    const proven: Ready['reads'][number][] = [];
    for (let first = this.#rounds[0]; first !== undefined && first.round <= confirmedRound; first = this.#rounds[0]) {
      const { index } = first;
      for (const id of first.ids) proven.push({ id, index });
      this.#rounds.shift();
    }
    return proven;
  }

  /** All barriers that are not proven. */
  abandon(): number[] {
    const ids = [...this.#rounds.flatMap(({ ids }) => ids), ...this.#waiting];
    this.#rounds = [];
    this.#waiting = [];
    return ids;
  }
}
