/**
 * A leader: appends, decides what is committed, proves reads, changes the membership, hands over the
 * lead, and makes sure that it is still followed. Messages to followers are made in `flush`, once
 * before each Ready, so that whatever came in one turn goes out in one append.
 *
 * Legal transitions: to follower when a majority has been silent for an election time-out, or when a
 * configuration without it is committed.
 * Invariants:
 *   D1  a leader only appends to its log
 *   D2  it counts replicas only of entries of its own term (Raft paper, 5.4.2), itself only when its disk has them
 *   D3  it counts voters of the configuration in force, and itself only if it is one of them
 *   D4  one change of the membership at a time, each begun after an entry of its own term is committed
 *   D5  once it has told somebody to stand for election, it has no lease for the rest of its term
 * What it sends to followers stands in followers.ts.
 * Protocol: docs/protocols/raft.md, sections 3 to 8.
 */
import { changed, encodeConfiguration, memberOf } from './configuration.js';
import type { ChangeRefusal } from './configuration.js';
import { Followers } from './followers.js';
import { senderOf } from './node-state.js';
import type { NodeState } from './node-state.js';
import type { Progress } from './progress.js';
import { ReadBarriers } from './read-barriers.js';
import type { Role, Transition } from './role.js';
import { Transfer } from './transfer.js';
import type { AppendResponse, EntryKind, MembershipChange, Message, NodeId, Ready } from './types.js';

const NO_COMMAND = new Uint8Array(0);

export type TransferRefusal = Extract<ChangeRefusal, 'notLeader' | 'busy' | 'unknown'> | 'itself' | 'nobody';

export class Leader implements Role {
  readonly name = 'leader';
  readonly followers: Followers;
  readonly #barriers = new ReadBarriers();
  #proven: Ready['reads'][number][] = [];
  #heartbeatElapsed = 0;
  #heartbeatDue = false;
  /** The no-op at the beginning of this leader's term. */
  #termStartIndex = 0;
  #transfer: Transfer | undefined;
  /** Somebody was told in this term to stand for election, and may do so at any time. */
  #leaseOver = false;

  constructor(readonly node: NodeState) {
    this.followers = new Followers(node);
  }

  enter(): Transition {
    const { node } = this;
    node.leaderId = node.id;
    node.electionElapsed = 0;
    // Entries of earlier terms are committed only together with one of this term; the no-op sees to it.
    this.#termStartIndex = this.#append('noop', NO_COMMAND);
    return this.#advanceCommit();
  }

  tick(): Transition {
    const { node } = this;
    this.followers.tick();
    if (++this.#heartbeatElapsed >= node.options.heartbeatTicks) {
      this.#heartbeatElapsed = 0;
      this.#heartbeatDue = true;
    }
    if (this.#transfer?.tick(node.options.heartbeatTicks) === false) this.#transfer = undefined;
    if (++node.electionElapsed >= node.options.electionTicks) {
      node.electionElapsed = 0;
      if (!this.followers.checkQuorum()) return 'follower';
    }
    return undefined;
  }

  step(message: Message): Transition {
    const follower = this.followers.from(senderOf(message));
    if (follower === undefined) return undefined;
    if (message.type === 'appendResponse') {
      follower.active = true;
      return this.#onAppendResponse(follower, message.result);
    }
    if (message.type === 'heartbeatResponse') {
      follower.heard();
      follower.nudge = follower.matchIndex < this.node.log.lastIndex;
      follower.confirmedRound = Math.max(follower.confirmedRound, message.round);
      this.#proveBarriers();
    }
    return undefined;
  }

  /** Appends commands, an entry each. Undefined while the lead is on its way to another. */
  propose(commands: readonly Uint8Array[]): { firstIndex: number; lastIndex: number } | undefined {
    if (this.#transfer !== undefined) return undefined;
    const firstIndex = this.node.log.lastIndex + 1;
    for (const command of commands) this.#append('command', command);
    return { firstIndex, lastIndex: this.node.log.lastIndex };
  }

  /** Appends a change of the membership; it is in force from now on. Returns its index. */
  change(change: MembershipChange): number | ChangeRefusal {
    const { log, rules } = this.node;
    if (this.#transfer !== undefined || !rules.admitsChange(log, this.#termStartIndex)) return 'busy';
    const next = changed(log.configuration, change);
    if (typeof next === 'string') return next;
    if (change.kind === 'promote' && this.followers.get(change.id)?.isCaughtUp !== true) return 'behind';
    const index = this.#append(change.kind, encodeConfiguration(next));
    this.followers.reconcile();
    return index;
  }

  /** Begins to hand the lead to a voter; to the one that is furthest, if none is named. */
  transfer(to: NodeId | undefined): NodeId | TransferRefusal {
    const { node } = this;
    if (this.#transfer !== undefined) return 'busy';
    if (to === node.id) return 'itself';
    const target = to ?? this.#furthestVoter()?.id;
    if (target === undefined) return 'nobody';
    if (!node.voters.ids.includes(target)) return 'unknown';
    this.#transfer = new Transfer(target, node.options.electionTicks);
    return target;
  }

  /** Whom the lead is being handed to. */
  get transferringTo(): NodeId | undefined {
    return this.#transfer?.to;
  }

  addBarrier(id: number): void {
    this.#barriers.add(id);
  }

  /** As addBarrier, but answered at once where this leader holds a lease now. */
  addLeaseRead(id: number, now: number): void {
    if (this.#holdsLease(now)) this.#proven.push({ id, index: this.node.log.commitIndex });
    else this.#barriers.add(id);
  }

  takeProven(): Ready['reads'] {
    const proven = this.#proven;
    this.#proven = [];
    return proven;
  }

  /** This leader leads no more. Returns the barriers that it can no longer prove. */
  abandonBarriers(): number[] {
    return this.#barriers.abandon();
  }

  /** This node's own disk holds more of the log. */
  stored(): Transition {
    return this.#advanceCommit();
  }

  matchIndexOf(id: NodeId): number {
    return id === this.node.id ? this.node.log.stableIndex : (this.followers.get(id)?.matchIndex ?? 0);
  }

  /** Everything of earlier terms is committed, and an entry of this one. */
  get commitsOwnTerm(): boolean {
    return this.node.log.commitIndex >= this.#termStartIndex;
  }

  get termStartIndex(): number {
    return this.#termStartIndex;
  }

  /** `now` is the time on the clock of leases. */
  flush(now: number): void {
    const { node } = this;
    // With leases, each heartbeat is a round, so that its answers renew the lease.
    const renews = this.#heartbeatDue && node.options.leaseDriftTicks !== undefined;
    const begins = this.commitsOwnTerm && (this.#barriers.isDue || renews);
    if (begins) {
      this.#barriers.begin(node.log.commitIndex, now);
      this.#proveBarriers();
    }
    if (begins || this.#heartbeatDue) this.followers.sendHeartbeats(this.#barriers.round);
    this.#heartbeatDue = false;
    this.followers.sendAppends();
    this.#pursueTransfer();
  }

  #append(kind: EntryKind, command: Uint8Array): number {
    const { log, term } = this.node;
    const index = log.lastIndex + 1;
    log.append({ index, term, kind, command });
    return index;
  }

  #onAppendResponse(follower: Progress, result: AppendResponse['result']): Transition {
    const { log, options } = this.node;
    if (result.ok) {
      follower.accepted(result.matchIndex, log, options.electionTicks);
      return this.#advanceCommit();
    }
    // Of this log, nothing above the last entry of at most the hint's term can be in the follower's.
    const agree = log.lastIndexWithTermUpTo(result.hintIndex, result.hintTerm);
    follower.refused(result.prevIndex, agree.index);
    return undefined;
  }

  #advanceCommit(): Transition {
    const { log, voters, term, rules } = this.node;
    const index = rules.heldByQuorum(log, voters, (id) => this.matchIndexOf(id));
    if (index > log.commitIndex && rules.commitsBy(log.termAt(index), term)) log.commitTo(index);
    return this.#isRemoved() ? this.#leave() : undefined;
  }

  /** A configuration without this node is committed. Until then it leads voters of whom it is none (dissertation, 4.2.2). */
  #isRemoved(): boolean {
    const { node } = this;
    return !node.isVoter && node.log.commitIndex >= node.log.configurationIndex;
  }

  #leave(): Transition {
    // Its last word: what is committed, and that somebody else should lead, who need not wait to notice.
    this.followers.sendAppends();
    const heir = this.#furthestVoter();
    if (heir !== undefined && heir.matchIndex === this.node.log.lastIndex) this.#tell(heir);
    return 'follower';
  }

  #furthestVoter(): Progress | undefined {
    const { node } = this;
    const others = node.voters.others(node).flatMap(({ id }) => this.followers.get(id) ?? []);
    return others.sort((a, b) => b.matchIndex - a.matchIndex || a.id - b.id)[0];
  }

  #pursueTransfer(): void {
    const { node } = this;
    const transfer = this.#transfer;
    if (transfer === undefined || !transfer.isDue) return;
    const member = memberOf(node.log.configuration, transfer.to);
    const target = this.followers.get(transfer.to);
    if (member === undefined || target === undefined) {
      this.#transfer = undefined;
    } else if (target.matchIndex === node.log.lastIndex) {
      transfer.isDue = false;
      this.#tell(target);
    }
  }

  #tell(target: Progress): void {
    // The message may arrive at any later time, and those who trust this leader vote then all the same.
    this.#leaseOver = true;
    this.node.send(target.member, { type: 'timeoutNow' });
  }

  #proveBarriers(): void {
    this.#proven.push(...this.#barriers.confirm(this.#confirmedRound()));
  }

  #confirmedRound(): number {
    const { node } = this;
    return node.voters.reachedByMajority((id) =>
      id === node.id ? this.#barriers.round : (this.followers.get(id)?.confirmedRound ?? 0),
    );
  }

  #holdsLease(now: number): boolean {
    const { options, rules, isVoter } = this.node;
    if (options.leaseDriftTicks === undefined || this.#leaseOver || this.#transfer !== undefined) return false;
    if (!this.commitsOwnTerm || !isVoter) return false;
    const heardAt = this.#barriers.begunAt(this.#confirmedRound());
    // Where ticks are counted, up to one is under way here that is not counted yet, and one there is
    // counted that had begun before the heartbeat came.
    const leaseTicks = options.electionTicks - options.leaseDriftTicks - 2;
    return heardAt !== undefined && rules.holdsLease(now, heardAt, leaseTicks);
  }
}
