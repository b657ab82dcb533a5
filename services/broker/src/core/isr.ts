/**
 * The in-sync set of one partition as its leader has it: what is committed, and the one change that
 * is on its way to the controller. Says who counts for the high watermark; decides nothing about lag.
 *
 * Invariants:
 *   P7  the maximal ISR contains the committed ISR
 *   P9  at most one change is pending, and it builds on the committed partition epoch
 * Protocol: docs/protocols/replication.md, sections 4 and 7 (races 7, 8).
 */
import { assert } from '@barnabas/common';

/** Of another registration than this the member may not be admitted (KIP-903); -1 for the leader itself. */
export interface ProposedMember {
  readonly brokerId: number;
  readonly brokerEpoch: number;
}

/** An ISR that the leader wants, as it goes to the controller. */
export interface IsrProposal {
  readonly leaderEpoch: number;
  /** That it builds on. */
  readonly partitionEpoch: number;
  readonly isr: readonly ProposedMember[];
}

/** What became of a proposal, as far as it is known. */
export type IsrAnswer =
  | {
      readonly kind: 'committed';
      readonly leader: number;
      readonly leaderEpoch: number;
      readonly isr: readonly number[];
      readonly eligibleLeaderReplicas: readonly number[];
      readonly partitionEpoch: number;
    }
  /** The partition has moved on, perhaps by an earlier attempt: the metadata log will tell. */
  | { readonly kind: 'superseded' }
  /** It was not done, and this attempt never will be. */
  | { readonly kind: 'refused' }
  /** It may have been done, or may yet be. */
  | { readonly kind: 'unknown' };

interface PendingChange {
  readonly proposal: IsrProposal;
  /** Some attempt may still be on its way. */
  readonly uncertain: boolean;
  /** Nobody whom an earlier attempt may yet admit may be left out of the maximal ISR. */
  readonly admitted: readonly number[];
}

export class InSyncSet {
  #committed: readonly number[];
  #partitionEpoch: number;
  #pending: PendingChange | undefined;
  #maximal: readonly number[];

  constructor(committed: readonly number[], partitionEpoch: number) {
    this.#committed = committed;
    this.#maximal = committed;
    this.#partitionEpoch = partitionEpoch;
  }

  get committed(): readonly number[] {
    return this.#committed;
  }

  /** Committed, or perhaps soon: everybody who counts for the high watermark. */
  get maximal(): readonly number[] {
    return this.#maximal;
  }

  get pending(): IsrProposal | undefined {
    return this.#pending?.proposal;
  }

  propose(proposal: IsrProposal): void {
    assert(this.#pending === undefined, 'P9: one ISR change at a time', { partitionEpoch: this.#partitionEpoch });
    assert(proposal.partitionEpoch === this.#partitionEpoch, 'P9: a change builds on what is committed', {
      base: proposal.partitionEpoch,
      committed: this.#partitionEpoch,
    });
    const admitted = proposal.isr.map(({ brokerId }) => brokerId).filter((id) => !this.#committed.includes(id));
    this.#setPending({ proposal, uncertain: false, admitted });
  }

  /** The metadata log or the controller says what is committed; true if that ends the pending change. */
  commit(isr: readonly number[], partitionEpoch: number): boolean {
    this.#committed = isr;
    this.#partitionEpoch = partitionEpoch;
    const ended = this.#pending !== undefined && this.#pending.proposal.partitionEpoch < partitionEpoch;
    this.#setPending(ended ? undefined : this.#pending);
    return ended;
  }

  /** What to send again: the same, or what voids it. Undefined: nothing, the change is dropped or waits. */
  answered(
    answer: Exclude<IsrAnswer, { kind: 'committed' }>,
    memberOf: (brokerId: number) => ProposedMember,
  ): IsrProposal | undefined {
    const pending = this.#pending;
    if (pending === undefined) return undefined;
    if (answer.kind === 'superseded') return undefined;
    if (answer.kind === 'unknown') {
      this.#setPending({ ...pending, uncertain: true });
      return pending.proposal;
    }
    if (!pending.uncertain) {
      this.#setPending(undefined);
      return undefined;
    }
    // An earlier attempt may arrive after this refusal, and fit. A committed change moves the partition
    // epoch, after which it cannot; until then whoever it admits counts.
    const { leaderEpoch, partitionEpoch } = pending.proposal;
    const proposal = { leaderEpoch, partitionEpoch, isr: this.#committed.map(memberOf) };
    this.#setPending({ ...pending, proposal });
    return proposal;
  }

  #setPending(pending: PendingChange | undefined): void {
    this.#pending = pending;
    const joining = pending?.admitted.filter((id) => !this.#committed.includes(id)) ?? [];
    this.#maximal = joining.length === 0 ? this.#committed : [...this.#committed, ...joining];
  }
}
