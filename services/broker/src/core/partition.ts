/**
 * One partition as the broker that holds a replica of it sees it: its role, log ends, high watermark,
 * and the produce entries that wait. Does no I/O; the controls turn what changes here into effects.
 *
 * State of the log:
 *   closed    nobody has used it yet                        -> opening
 *   opening   offsets are not known: it is being opened, truncated or made anew; entries wait in line
 *                                                           -> online, offline
 *   online    offsets are known                             -> opening (a follower's), offline
 *   offline   the log has failed; says why                  -> opening, once nobody counts on it
 *   removed   the replica is no longer here                 (final; late events about it are dropped)
 *
 * Role: leader (leader-state.ts) or follower (follower-state.ts) of the assignment's leader epoch, or
 * neither while nobody leads.
 *
 * Invariants (checked after every event):
 *   P1  logStartOffset <= highWatermark <= stableEndOffset <= logEndOffset
 *   P2  the high watermark never falls within a leader epoch, while the log is not reshaped
 *   P3  a leader's ISR is a subset of the replicas and contains the leader
 *   P4  appends wait in the order of their offsets, and none of them waits for what has happened
 *   P5  an entry is answered once
 *   P6  entries wait only at an online leader, or while its log is being opened
 *   P7, P9 are in isr.ts; P8 holds where the watermark moves (advanceHighWatermark)
 *   P10 a follower fetches only with its log online
 *   P11 a partition leads or follows, in the leader epoch of its assignment, never both
 * Protocol: docs/protocols/produce.md, section 3; docs/protocols/replication.md.
 */
import { InvariantError, assert } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import { AppendQueue } from './append-queue.js';
import type { Assignment, ReplicaConfig } from './assignment.js';
import { Fifo } from './fifo.js';
import type { FollowSink } from './follow.js';
import { FollowerState } from './follower-state.js';
import { LeaderState } from './leader-state.js';
import type { PendingProduce } from './pending-produce.js';
import * as refusals from './refusals.js';

export type LogState =
  | { readonly kind: 'closed' }
  | { readonly kind: 'opening' }
  | { readonly kind: 'online' }
  | { readonly kind: 'offline'; readonly reason: string }
  | { readonly kind: 'removed' };

/** Offsets with which a log opens. */
export interface OpenedLog {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** As checkpointed; only a lower bound. */
  readonly highWatermark: number;
}

/** What a new assignment means for the replica's part. */
export interface RoleChange {
  /** The leader or its epoch has changed. */
  readonly isNewEpoch: boolean;
  /** Followers that must ask anew. */
  readonly over: readonly FollowSink[];
}

const CLOSED: LogState = { kind: 'closed' };
const OPENING: LogState = { kind: 'opening' };
const ONLINE: LogState = { kind: 'online' };
const REMOVED: LogState = { kind: 'removed' };
const NOBODY: readonly FollowSink[] = [];

export class Partition<Token = unknown> {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly appends = new AppendQueue<Token>();
  /** Entries that came before the log was open. */
  readonly waitingForLog = new Fifo<PendingProduce<Token>>();

  #assignment: Assignment;
  #log: LogState = CLOSED;
  #leading: LeaderState | undefined;
  #following: FollowerState | undefined;
  #logStartOffset = 0;
  #logEndOffset = 0;
  #stableEndOffset = 0;
  #highWatermark = 0;
  /** What P2 compares with. */
  #checkedEpoch = -1;
  #checkedHighWatermark = -1;

  constructor(
    readonly nodeId: number,
    assignment: Assignment,
    now: number,
  ) {
    this.topic = assignment.topic;
    this.topicId = assignment.topicId;
    this.partition = assignment.partition;
    this.#assignment = assignment;
    this.#takeRole(now);
  }

  get log(): LogState {
    return this.#log;
  }
  get isLeader(): boolean {
    return this.#assignment.leader === this.nodeId;
  }
  get leader(): number {
    return this.#assignment.leader;
  }
  get leaderEpoch(): number {
    return this.#assignment.leaderEpoch;
  }
  get partitionEpoch(): number {
    return this.#assignment.partitionEpoch;
  }
  /** As committed. */
  get isr(): readonly number[] {
    return this.#assignment.isr;
  }
  get replicas(): readonly number[] {
    return this.#assignment.replicas;
  }
  get eligibleLeaderReplicas(): readonly number[] {
    return this.#assignment.eligibleLeaderReplicas;
  }
  get config(): ReplicaConfig {
    return this.#assignment.config;
  }
  get leading(): LeaderState | undefined {
    return this.#leading;
  }
  get following(): FollowerState | undefined {
    return this.#following;
  }
  get logStartOffset(): number {
    return this.#logStartOffset;
  }
  get logEndOffset(): number {
    return this.#logEndOffset;
  }
  /** What this replica's own disk has, as flush.messages defines it. */
  get stableEndOffset(): number {
    return this.#stableEndOffset;
  }
  get highWatermark(): number {
    return this.#highWatermark;
  }
  /** First offset of an undecided transaction; there are none yet, so the high watermark. */
  get lastStableOffset(): number {
    return this.#highWatermark;
  }
  /** How many in-sync replicas acks=all needs: a topic cannot ask for more than it has. */
  get requiredIsr(): number {
    return Math.min(this.config['min.insync.replicas'], this.replicas.length);
  }
  get isUnderMinIsr(): boolean {
    return this.isr.length < this.requiredIsr;
  }
  /** A new leader does not know yet how far its predecessor had committed (KIP-207). */
  get isHighWatermarkBehindEpoch(): boolean {
    return this.#highWatermark < (this.#leading?.epochStartOffset ?? 0);
  }

  /** Why this broker cannot serve the partition as its leader; undefined if it can. */
  refusal(leaderEpoch?: number): BarnabasError | undefined {
    if (this.#log.kind === 'removed') return refusals.unknownPartition(this);
    if (this.leader === -1) return refusals.noLeader(this);
    if (!this.isLeader) return refusals.notLeader(this, this.leader, this.leaderEpoch);
    const error = this.epochRefusal(leaderEpoch);
    if (error !== undefined) return error;
    if (this.#log.kind === 'offline') return refusals.offline(this, this.#log.reason);
    return undefined;
  }

  /** Why this broker cannot serve readers, of whatever role it is; undefined if it can. */
  readRefusal(leaderEpoch?: number): BarnabasError | undefined {
    if (this.isLeader || this.#following === undefined) return this.refusal(leaderEpoch);
    if (this.#log.kind === 'removed') return refusals.unknownPartition(this);
    const error = this.epochRefusal(leaderEpoch);
    if (error !== undefined) return error;
    if (this.#log.kind === 'offline') return refusals.offline(this, this.#log.reason);
    return undefined;
  }

  /** Why somebody who knows this leader epoch is refused; undefined for the current one, or for none. */
  epochRefusal(leaderEpoch: number | undefined): BarnabasError | undefined {
    if (leaderEpoch === undefined || leaderEpoch < 0 || leaderEpoch === this.leaderEpoch) return undefined;
    if (leaderEpoch < this.leaderEpoch) return refusals.fencedLeaderEpoch(this, leaderEpoch);
    return refusals.unknownLeaderEpoch(this, leaderEpoch, this.leaderEpoch);
  }

  /** Takes over what the metadata log says of the same replica. */
  assign(assignment: Assignment, now: number): RoleChange {
    const before = this.#assignment;
    assert(assignment.topicId === this.topicId, 'an assignment belongs to its replica', { topic: this.topic });
    if (assignment.partitionEpoch < before.partitionEpoch) {
      // The controller's answer was quicker than its log; only the configuration has no epoch.
      this.#assignment = { ...before, config: assignment.config };
      return { isNewEpoch: false, over: NOBODY };
    }
    assert(assignment.leaderEpoch >= before.leaderEpoch, 'leader epochs only grow', {
      topic: this.topic,
      partition: this.partition,
      from: before.leaderEpoch,
      to: assignment.leaderEpoch,
    });
    this.#assignment = assignment;
    if (assignment.leaderEpoch > before.leaderEpoch || assignment.leader !== before.leader) {
      const over = sinksOf(this.#leading);
      this.#takeRole(now);
      return { isNewEpoch: true, over };
    }
    const { replicas, isr, partitionEpoch } = assignment;
    if (this.#leading === undefined || partitionEpoch === before.partitionEpoch) {
      return { isNewEpoch: false, over: NOBODY };
    }
    return { isNewEpoch: false, over: this.#leading.commit(replicas, isr, partitionEpoch, now) };
  }

  /** The controller has committed the ISR that this leader proposed. */
  isrCommitted(
    committed: Pick<Assignment, 'isr' | 'eligibleLeaderReplicas' | 'partitionEpoch'>,
    now: number,
  ): readonly FollowSink[] {
    const { isr, eligibleLeaderReplicas, partitionEpoch } = committed;
    this.#assignment = { ...this.#assignment, isr, eligibleLeaderReplicas, partitionEpoch };
    return this.#leading?.commit(this.replicas, isr, partitionEpoch, now) ?? NOBODY;
  }

  /** Its offsets are not known until it is open (again). */
  opening(): void {
    assert(this.#log.kind !== 'opening' && this.#log.kind !== 'removed', 'a log is opened once', {
      log: this.#log.kind,
    });
    this.#log = OPENING;
  }

  opened(log: OpenedLog): void {
    assert(this.#log.kind === 'opening', 'only a log being opened can be open', { log: this.#log.kind });
    this.#log = ONLINE;
    this.#logStartOffset = log.logStartOffset;
    this.#logEndOffset = log.logEndOffset;
    this.#stableEndOffset = log.logEndOffset;
    this.#highWatermark = Math.min(Math.max(log.highWatermark, log.logStartOffset), log.logEndOffset);
    this.#checkedEpoch = -1;
    if (this.#leading !== undefined) this.#leading.epochStartOffset = this.#logEndOffset;
  }

  failed(reason: string): void {
    this.#log = { kind: 'offline', reason };
  }

  removed(): readonly FollowSink[] {
    this.#log = REMOVED;
    return sinksOf(this.#leading);
  }

  /** The log has failed: whoever follows must look elsewhere. */
  dropFollowers(): readonly FollowSink[] {
    const sinks = sinksOf(this.#leading);
    for (const follower of this.#leading?.followers() ?? []) follower.sink = undefined;
    return sinks;
  }

  appended(produce: PendingProduce<Token>): void {
    assert(produce.baseOffset === this.#logEndOffset, 'an append begins where the log ended', {
      topic: this.topic,
      partition: this.partition,
      baseOffset: produce.baseOffset,
      logEndOffset: this.#logEndOffset,
    });
    this.#logEndOffset = produce.endOffset;
    this.appends.push(produce);
  }

  /** A leader's batches have been appended here. */
  replicated(endOffset: number): void {
    assert(endOffset >= this.#logEndOffset, 'an append makes a log longer', { endOffset, from: this.#logEndOffset });
    this.#logEndOffset = endOffset;
  }

  stable(endOffset: number): void {
    this.#stableEndOffset = Math.max(this.#stableEndOffset, endOffset);
  }

  logStartMoved(logStartOffset: number): void {
    assert(logStartOffset >= this.#logStartOffset, 'the log start offset only grows', { to: logStartOffset });
    this.#logStartOffset = logStartOffset;
    // A follower cuts its log up to its stable end, whatever it had heard of the watermark.
    if (!this.isLeader && this.#highWatermark < logStartOffset) this.#highWatermark = logStartOffset;
  }

  /** Moves the high watermark to where its role allows it; true if it moved. */
  advanceHighWatermark(): boolean {
    if (this.#log.kind !== 'online') return false;
    const allowed = this.#allowedHighWatermark();
    if (allowed <= this.#highWatermark) return false;
    this.#highWatermark = allowed;
    return true;
  }

  /** Runs after every event, so that what explains a failure is put together only when there is one. */
  checkInvariants(): void {
    const { kind } = this.#log;
    if (this.isLeader && !this.#isrIsSound()) this.#broken('P3: the ISR is a subset of the replicas with the leader');
    if (this.appends.length > 0 && !(this.isLeader && kind === 'online')) {
      this.#broken('P6: appends wait only at an online leader');
    }
    if (this.waitingForLog.length > 0 && !(this.isLeader && kind === 'opening')) {
      this.#broken('P6: entries wait for a log only while it is opened');
    }
    if ((this.#leading !== undefined) !== this.isLeader || (this.isLeader && this.#following !== undefined)) {
      this.#broken('P11: a partition leads or follows, as its assignment says');
    }
    if (this.#following?.phase === 'fetching' && kind !== 'online') {
      this.#broken('P10: a follower fetches only with its log online');
    }
    if (kind === 'online') this.#checkOffsets();
    this.#leading?.checkInvariants(this.replicas);
  }

  #takeRole(now: number): void {
    const { leader, leaderEpoch, replicas, isr, partitionEpoch } = this.#assignment;
    this.#leading = undefined;
    this.#following = undefined;
    if (leader === this.nodeId) {
      const start = this.#log.kind === 'online' ? this.#logEndOffset : undefined;
      this.#leading = new LeaderState(this.nodeId, leaderEpoch, replicas, isr, partitionEpoch, now, start);
    } else if (leader !== -1) {
      this.#following = new FollowerState(leader, leaderEpoch);
    }
  }

  #allowedHighWatermark(): number {
    if (this.#leading !== undefined) {
      // Below the minimum there may be eligible leader replicas that lack what this leader would commit
      // (KIP-966), and while there are any, whatever the minimum is by now, they are counted on to have it.
      const isHeld = this.isUnderMinIsr || this.eligibleLeaderReplicas.length > 0;
      return isHeld ? -1 : this.#leading.lowestLogEnd(this.#stableEndOffset);
    }
    return Math.min(this.#following?.leaderHighWatermark ?? -1, this.#stableEndOffset);
  }

  #isrIsSound(): boolean {
    const { isr, replicas } = this;
    for (const id of isr) if (!replicas.includes(id)) return false;
    return isr.includes(this.leader);
  }

  #checkOffsets(): void {
    const highWatermark = this.#highWatermark;
    const inOrder =
      this.#logStartOffset <= highWatermark &&
      highWatermark <= this.#stableEndOffset &&
      this.#stableEndOffset <= this.#logEndOffset;
    if (!inOrder) this.#broken('P1: log start <= high watermark <= stable end <= log end');
    const firstEndOffset = this.appends.firstEndOffset;
    if (firstEndOffset !== undefined && firstEndOffset <= highWatermark) {
      this.#broken('P4: no append waits for what has been committed');
    }
    if (this.#checkedEpoch === this.leaderEpoch && highWatermark < this.#checkedHighWatermark) {
      this.#broken('P2: the high watermark never falls within a leader epoch');
    }
    this.#checkedEpoch = this.leaderEpoch;
    this.#checkedHighWatermark = highWatermark;
  }

  #broken(invariant: string): never {
    throw new InvariantError(invariant, this.#facts());
  }

  #facts() {
    return {
      topic: this.topic,
      partition: this.partition,
      leader: this.leader,
      leaderEpoch: this.leaderEpoch,
      isr: this.isr.join(','),
      replicas: this.replicas.join(','),
      log: this.#log.kind,
      follows: this.#following?.phase,
      logStartOffset: this.#logStartOffset,
      highWatermark: this.#highWatermark,
      stableEndOffset: this.#stableEndOffset,
      logEndOffset: this.#logEndOffset,
    };
  }
}

function sinksOf(leading: LeaderState | undefined): readonly FollowSink[] {
  if (leading === undefined || !leading.hasFollowers) return NOBODY;
  return [...leading.followers()].flatMap(({ sink }) => (sink === undefined ? [] : [sink]));
}
