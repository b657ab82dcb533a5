/**
 * One partition as the broker that holds a replica of it sees it: who leads, log ends, in-sync set,
 * high watermark, and the produce entries that wait. Does no I/O; replica-manager.ts turns what
 * changes here into effects.
 *
 * State of the log:
 *   closed    nobody has used it yet            -> opening
 *   opening   entries wait in line              -> online, offline
 *   online    offsets are known                 -> offline
 *   offline   the log has failed; says why      (until the broker starts again)
 *   removed   the replica is no longer here     (final; late events about it are dropped)
 *
 * Invariants (checked after every event):
 *   P1  logStartOffset <= highWatermark <= stableEndOffset <= logEndOffset
 *   P2  the high watermark never falls within a leader epoch
 *   P3  a leader's ISR is a subset of the replicas and contains the leader
 *   P4  appends wait in the order of their offsets, and none of them waits for what has happened
 *   P5  an entry is answered once
 *   P6  entries wait only at an online leader, or while its log is being opened
 * Protocol: docs/protocols/produce.md, section 3.
 */
import { InvariantError, assert } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import { AppendQueue } from './append-queue.js';
import type { Assignment, ReplicaConfig } from './assignment.js';
import { Fifo } from './fifo.js';
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

const CLOSED: LogState = { kind: 'closed' };
const OPENING: LogState = { kind: 'opening' };
const ONLINE: LogState = { kind: 'online' };
const REMOVED: LogState = { kind: 'removed' };

export class Partition<Token = unknown> {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly appends = new AppendQueue<Token>();
  /** Entries that came before the log was open. */
  readonly waitingForLog = new Fifo<PendingProduce<Token>>();

  #assignment: Assignment;
  #log: LogState = CLOSED;
  #logStartOffset = 0;
  #logEndOffset = 0;
  #stableEndOffset = 0;
  #highWatermark = 0;
  /** Log ends of the other replicas, as they have reported them in this leader epoch. */
  readonly #followerLogEnds = new Map<number, number>();
  /** What P2 compares with. */
  #checkedEpoch = -1;
  #checkedHighWatermark = -1;

  constructor(
    readonly nodeId: number,
    assignment: Assignment,
  ) {
    this.topic = assignment.topic;
    this.topicId = assignment.topicId;
    this.partition = assignment.partition;
    this.#assignment = assignment;
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
  get isr(): readonly number[] {
    return this.#assignment.isr;
  }
  get replicas(): readonly number[] {
    return this.#assignment.replicas;
  }
  get config(): ReplicaConfig {
    return this.#assignment.config;
  }
  get logStartOffset(): number {
    return this.#logStartOffset;
  }
  get logEndOffset(): number {
    return this.#logEndOffset;
  }
  /** What the leader's own disk has, as flush.messages defines it. */
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

  /** Why this broker cannot serve the partition as its leader; undefined if it can. */
  refusal(leaderEpoch?: number): BarnabasError | undefined {
    if (this.#log.kind === 'removed') return refusals.unknownPartition(this);
    if (this.leader === -1) return refusals.noLeader(this);
    if (!this.isLeader) return refusals.notLeader(this, this.leader, this.leaderEpoch);
    if (leaderEpoch !== undefined && leaderEpoch >= 0) {
      if (leaderEpoch < this.leaderEpoch) return refusals.fencedLeaderEpoch(this, leaderEpoch, this.leaderEpoch);
      if (leaderEpoch > this.leaderEpoch) return refusals.unknownLeaderEpoch(this, leaderEpoch, this.leaderEpoch);
    }
    if (this.#log.kind === 'offline') return refusals.offline(this, this.#log.reason);
    return undefined;
  }

  /** Takes over a newer assignment of the same replica. */
  assign(assignment: Assignment): void {
    const { leaderEpoch } = this;
    assert(assignment.topicId === this.topicId, 'an assignment belongs to its replica', { topic: this.topic });
    assert(assignment.leaderEpoch >= leaderEpoch, 'leader epochs only grow', {
      topic: this.topic,
      partition: this.partition,
      from: leaderEpoch,
      to: assignment.leaderEpoch,
    });
    this.#assignment = assignment;
    if (assignment.leaderEpoch > leaderEpoch) this.#followerLogEnds.clear();
  }

  opening(): void {
    assert(this.#log.kind === 'closed', 'only a closed log is opened', { log: this.#log.kind });
    this.#log = OPENING;
  }

  opened(log: OpenedLog): void {
    assert(this.#log.kind === 'opening', 'only a log being opened can be open', { log: this.#log.kind });
    this.#log = ONLINE;
    this.#logStartOffset = log.logStartOffset;
    this.#logEndOffset = log.logEndOffset;
    this.#stableEndOffset = log.logEndOffset;
    this.#highWatermark = Math.min(Math.max(log.highWatermark, log.logStartOffset), log.logEndOffset);
  }

  failed(reason: string): void {
    this.#log = { kind: 'offline', reason };
  }

  removed(): void {
    this.#log = REMOVED;
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

  stable(endOffset: number): void {
    this.#stableEndOffset = Math.max(this.#stableEndOffset, endOffset);
  }

  followerProgress(brokerId: number, logEndOffset: number): void {
    assert(this.replicas.includes(brokerId), 'only replicas report progress', { brokerId });
    this.#followerLogEnds.set(brokerId, logEndOffset);
  }

  logStartMoved(logStartOffset: number): void {
    assert(logStartOffset >= this.#logStartOffset, 'the log start offset only grows', { to: logStartOffset });
    this.#logStartOffset = logStartOffset;
  }

  /** Moves the high watermark to where the ISR allows it; true if it moved. */
  advanceHighWatermark(): boolean {
    if (!this.isLeader || this.#log.kind !== 'online') return false;
    const allowed = this.#lowestLogEndOfIsr();
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
    if (kind === 'online') this.#checkOffsets();
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

  #lowestLogEndOfIsr(): number {
    let lowest = this.#stableEndOffset;
    for (const id of this.isr) {
      if (id === this.nodeId) continue;
      // A member that has not reported in this epoch holds the watermark where it is.
      lowest = Math.min(lowest, this.#followerLogEnds.get(id) ?? -1);
    }
    return lowest;
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
      logStartOffset: this.#logStartOffset,
      highWatermark: this.#highWatermark,
      stableEndOffset: this.#stableEndOffset,
      logEndOffset: this.#logEndOffset,
    };
  }
}
