/**
 * Proposals that wait for their commit. Each ends exactly once:
 *   resolved                  its entries have been applied here as they were proposed
 *   REQUEST_TIMED_OUT         the leadership that took it is over, or the node stops; it may still be committed
 */
import { deferred } from '@barnabas/common';
import type { Deferred } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import type { Committed } from '../types.js';

interface Waiting {
  readonly placed: Committed;
  readonly bytes: number;
  readonly done: Deferred<Committed>;
}

export class Proposals {
  #waiting: Waiting[] = [];
  #bytes = 0;

  /** Bytes of commands that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** All that wait are of one leadership: `dropOthers` comes before the first of another. */
  add(placed: Committed, bytes: number): Promise<Committed> {
    const done = deferred<Committed>();
    this.#waiting.push({ placed, bytes, done });
    this.#bytes += bytes;
    return done.promise;
  }

  /** Everything up to an entry has been applied; `termAt` knows the terms of what was. */
  applied(index: number, termAt: (index: number) => number | undefined): void {
    const behind = this.#waiting.findIndex(({ placed }) => placed.lastIndex > index);
    for (const one of this.#waiting.splice(0, behind === -1 ? this.#waiting.length : behind)) {
      this.#bytes -= one.bytes;
      if (termAt(one.placed.lastIndex) === one.placed.term) one.done.resolve(one.placed);
      else one.done.reject(unknownOutcome(one.placed));
    }
  }

  /** Ends the proposals of every leadership but this one; of all, if undefined. */
  dropOthers(term: number | undefined): void {
    if (this.#waiting.every(({ placed }) => placed.term === term)) return;
    const all = this.#waiting;
    this.#waiting = all.filter(({ placed }) => placed.term === term);
    this.#bytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { placed, done } of all) if (placed.term !== term) done.reject(unknownOutcome(placed));
  }
}

function unknownOutcome({ firstIndex, term }: Committed): BarnabasError {
  return new BarnabasError(
    'REQUEST_TIMED_OUT',
    'this controller ceased to lead before the change was committed: find out from the new leader whether it was made',
    { firstIndex, term },
  );
}
