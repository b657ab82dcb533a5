/** The voters of one configuration, and what a majority of them says. */
import { present } from '@barnabas/common';
import { isSame } from './configuration.js';
import type { Member, NodeId, ReplicaId } from './types.js';

export type Outcome = 'won' | 'lost' | 'open';

export const majorityOf = (count: number): number => Math.floor(count / 2) + 1;

export class Voters {
  constructor(
    readonly members: readonly Member[],
    readonly majority = majorityOf(members.length),
  ) {}

  get ids(): readonly NodeId[] {
    return this.members.map(({ id }) => id);
  }

  has(replica: ReplicaId): boolean {
    return this.members.some((member) => isSame(member, replica));
  }

  others(self: ReplicaId): Member[] {
    return this.members.filter((member) => !isSame(member, self));
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
    return this.members.length - refused < this.majority ? 'lost' : 'open';
  }
}
