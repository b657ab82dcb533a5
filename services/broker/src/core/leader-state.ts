/**
 * One leader epoch of one partition as its leader sees it: the in-sync set, and how far each of the
 * other replicas is. Made anew with each epoch, so that nothing said in an earlier one counts (R3).
 *
 * Does not own: log offsets and the high watermark (partition.ts), effects (leader-control.ts).
 * Protocol: docs/protocols/replication.md, section 4.
 */
import { assert } from '@barnabas/common';
import type { Follow, FollowSink } from './follow.js';
import { InSyncSet } from './isr.js';
import type { IsrProposal, ProposedMember } from './isr.js';

/** What the metadata log says of a broker, as far as it matters here. */
export interface BrokerView {
  readonly epoch: number;
  /** Neither fenced nor on its way out. */
  readonly serves: boolean;
}

/** A log end that has not been told. */
const UNKNOWN = -1;

/** Another replica, as it has spoken to this leader in this epoch. */
export class FollowerReplica {
  /** Of the registration it speaks under; -1 if it has not spoken. */
  brokerEpoch = -1;
  /** The stream on which it follows now. */
  sink: FollowSink | undefined;
  /** Stable, as acknowledged; -1 if it has not been since the last follow. */
  logEndOffset = UNKNOWN;
  logStartOffset = UNKNOWN;
  /** When it last had everything that the leader had; monotonic milliseconds. */
  caughtUpAt: number;
  /** A follow counts only if it was made at this partition epoch or later (race 9). */
  notBefore = -1;
  /** The leader's log end some time ago, and when that was. */
  #sampledEnd = Infinity;
  #sampledAt = 0;

  constructor(
    readonly brokerId: number,
    now: number,
  ) {
    this.caughtUpAt = now;
  }

  follows(follow: Follow, sink: FollowSink): void {
    this.brokerEpoch = follow.brokerEpoch;
    this.sink = sink;
    // Its log may be another one than it was.
    this.logEndOffset = UNKNOWN;
    this.logStartOffset = UNKNOWN;
    this.#sampledEnd = Infinity;
  }

  acknowledged(logEndOffset: number, logStartOffset: number, leaderLogEnd: number, now: number): void {
    this.logEndOffset = logEndOffset;
    this.logStartOffset = logStartOffset;
    if (logEndOffset >= leaderLogEnd) this.caughtUpAt = now;
    else if (logEndOffset >= this.#sampledEnd) this.caughtUpAt = Math.max(this.caughtUpAt, this.#sampledAt);
    else if (this.#sampledEnd !== Infinity) return;
    this.#sampledEnd = leaderLogEnd;
    this.#sampledAt = now;
  }

  /** Out of sync once it has not had everything for longer than `maxLagMs`. */
  lags(leaderLogEnd: number, now: number, maxLagMs: number): boolean {
    if (this.logEndOffset >= leaderLogEnd) this.caughtUpAt = now;
    return now - this.caughtUpAt > maxLagMs;
  }

  /** Nothing it has said counts any more; it must follow anew, knowing of this partition epoch. */
  forget(notBefore: number): FollowSink | undefined {
    const { sink } = this;
    this.notBefore = notBefore;
    this.sink = undefined;
    this.logEndOffset = UNKNOWN;
    this.logStartOffset = UNKNOWN;
    return sink;
  }
}

export class LeaderState {
  readonly isr: InSyncSet;
  readonly #followers = new Map<number, FollowerReplica>();

  constructor(
    private readonly nodeId: number,
    readonly leaderEpoch: number,
    replicas: readonly number[],
    isr: readonly number[],
    private committedEpoch: number,
    now: number,
    /** The log end when the epoch began; undefined until the log is open. */
    public epochStartOffset: number | undefined,
  ) {
    this.isr = new InSyncSet(isr, committedEpoch);
    for (const id of replicas) if (id !== nodeId) this.#followers.set(id, new FollowerReplica(id, now));
  }

  get partitionEpoch(): number {
    return this.committedEpoch;
  }

  follower(brokerId: number): FollowerReplica | undefined {
    return this.#followers.get(brokerId);
  }

  followers(): IterableIterator<FollowerReplica> {
    return this.#followers.values();
  }

  get hasFollowers(): boolean {
    return this.#followers.size > 0;
  }

  /** What is committed now, with the replicas it is about; returns the sinks of those who must follow anew. */
  commit(replicas: readonly number[], isr: readonly number[], partitionEpoch: number, now: number): FollowSink[] {
    const jumped = partitionEpoch > this.committedEpoch + 1;
    const over: FollowSink[] = [];
    for (const [id, follower] of this.#followers) {
      if (replicas.includes(id)) {
        // It may have been removed and added again in between, with another log than it told of (race 9).
        // Who is in the ISR cannot have been: nobody but this leader would have admitted it.
        if (!jumped || isr.includes(id)) continue;
      } else {
        this.#followers.delete(id);
      }
      const sink = follower.forget(partitionEpoch);
      if (sink !== undefined) over.push(sink);
    }
    for (const id of replicas) {
      if (id === this.nodeId || this.#followers.has(id)) continue;
      const follower = new FollowerReplica(id, now);
      follower.notBefore = partitionEpoch;
      this.#followers.set(id, follower);
    }
    this.committedEpoch = partitionEpoch;
    this.isr.commit(isr, partitionEpoch);
    return over;
  }

  /** The lowest stable log end of the maximal ISR, given the leader's own; -1 while a member has not spoken. */
  lowestLogEnd(own: number): number {
    let lowest = own;
    for (const id of this.isr.maximal) {
      if (id === this.nodeId) continue;
      lowest = Math.min(lowest, this.#followers.get(id)?.logEndOffset ?? UNKNOWN);
    }
    return lowest;
  }

  /** The lowest log start of the replicas whose brokers serve, given the leader's own; -1 while one has not spoken. */
  lowWatermark(own: number, serves: (brokerId: number) => boolean): number {
    let lowest = own;
    for (const { brokerId, logStartOffset } of this.#followers.values()) {
      if (serves(brokerId)) lowest = Math.min(lowest, logStartOffset);
    }
    return lowest;
  }

  /**
   * The admission of everybody who may be admitted now (R5); undefined if there is nobody, or another
   * change is pending.
   */
  admission(
    at: { readonly highWatermark: number },
    viewOf: (brokerId: number) => BrokerView | undefined,
  ): IsrProposal | undefined {
    const { epochStartOffset, isr } = this;
    if (isr.pending !== undefined || epochStartOffset === undefined) return undefined;
    const bound = Math.max(at.highWatermark, epochStartOffset);
    const joining: number[] = [];
    for (const { brokerId, brokerEpoch, logEndOffset, sink } of this.#followers.values()) {
      if (sink === undefined || logEndOffset < bound || isr.committed.includes(brokerId)) continue;
      const view = viewOf(brokerId);
      if (view?.serves === true && view.epoch === brokerEpoch) joining.push(brokerId);
    }
    return joining.length === 0 ? undefined : this.#proposal([...isr.committed, ...joining]);
  }

  /** The removal of members that lag; undefined if none does, or another change is pending. */
  removal(leaderLogEnd: number, now: number, maxLagMs: number): IsrProposal | undefined {
    const { isr } = this;
    const staying = isr.committed.filter(
      (id) => id === this.nodeId || this.#followers.get(id)?.lags(leaderLogEnd, now, maxLagMs) !== true,
    );
    if (isr.pending !== undefined || staying.length === isr.committed.length) return undefined;
    return this.#proposal(staying);
  }

  readonly memberOf = (brokerId: number): ProposedMember => ({
    brokerId,
    brokerEpoch: brokerId === this.nodeId ? -1 : (this.#followers.get(brokerId)?.brokerEpoch ?? -1),
  });

  checkInvariants(replicas: readonly number[]): void {
    const { maximal, committed } = this.isr;
    if (maximal === committed) return;
    assert(
      committed.every((id) => maximal.includes(id)) && maximal.every((id) => replicas.includes(id)),
      'P7: the maximal ISR contains the ISR and lies within the replicas',
      { maximal: maximal.join(','), committed: committed.join(','), replicas: replicas.join(',') },
    );
  }

  #proposal(isr: readonly number[]): IsrProposal {
    const { leaderEpoch, committedEpoch: partitionEpoch } = this;
    return { leaderEpoch, partitionEpoch, isr: isr.map(this.memberOf) };
  }
}
