/**
 * The voters of a quorum, and what a majority of them says. Fixed for the life of a core.
 */
import { assert, present } from '@barnabas/common';
import type { NodeId } from './types.js';

export type Outcome = 'won' | 'lost' | 'open';

export class Voters {
  readonly ids: readonly NodeId[];
  readonly majority: number;

  constructor(ids: readonly NodeId[]) {
    assert(ids.length > 0 && new Set(ids).size === ids.length, 'voters are distinct, and there is one at least');
    this.ids = [...ids].sort((a, b) => a - b);
    this.majority = Math.floor(ids.length / 2) + 1;
  }

  has(id: NodeId): boolean {
    return this.ids.includes(id);
  }

  others(self: NodeId): NodeId[] {
    return this.ids.filter((id) => id !== self);
  }

  /** The highest value that a majority has reached. */
  reachedByMajority(valueOf: (id: NodeId) => number): number {
    const descending = this.ids.map(valueOf).sort((a, b) => b - a);
    return present(descending[this.majority - 1], 'value of a majority');
  }

  /** What an election has come to. */
  outcome(votes: ReadonlyMap<NodeId, boolean>): Outcome {
    const granted = this.ids.filter((id) => votes.get(id) === true).length;
    const refused = this.ids.filter((id) => votes.get(id) === false).length;
    if (granted >= this.majority) return 'won';
    return this.ids.length - refused < this.majority ? 'lost' : 'open';
  }
}
