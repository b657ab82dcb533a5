/**
 * The replica manager: all partitions that this broker holds, and the produce entries on their way
 * through them. One event in, effects out; nothing else happens in between, so there are no races
 * to think of inside. The runtime carries the effects out in order (runtime/replica-driver.ts).
 *
 * Owns: which replicas are here, who leads them, when an entry is answered and with what, how far
 * consumers may read. Does not own: bytes on disk (log), what is in a batch (checked at the door),
 * subscriptions of consumers (runtime/fetch).
 *
 * Invariants P1 to P6 are in partition.ts and are checked for the touched partition after every event.
 * Protocol: docs/protocols/produce.md.
 */
import { unreachable } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import type { Assignment, AssignmentChange } from './assignment.js';
import type { ReplicaEffect, ReplicaEvent } from './events.js';
import { Partition } from './partition.js';
import { PendingProduce } from './pending-produce.js';
import type { ProduceOutcome } from './pending-produce.js';
import { Purgatory } from './purgatory.js';
import * as refusals from './refusals.js';

type EventOf<Token, T extends ReplicaEvent<Token>['type']> = Extract<ReplicaEvent<Token>, { type: T }>;

export class ReplicaManager<Token> {
  readonly #nodeId: number;
  readonly #byTopicId = new Map<string, Map<number, Partition<Token>>>();
  readonly #idsByName = new Map<string, string>();
  readonly #purgatory = new Purgatory<PendingProduce<Token>>();
  #wakeAt = Infinity;
  #effects: ReplicaEffect<Token>[] = [];

  constructor(nodeId: number) {
    this.#nodeId = nodeId;
  }

  /** Produce entries that wait for their acks. */
  get purgatorySize(): number {
    return this.#purgatory.size;
  }

  /** The replica of a topic's current incarnation, if this broker holds one. */
  find(topic: string, partition: number): Partition<Token> | undefined {
    const topicId = this.#idsByName.get(topic);
    return topicId === undefined ? undefined : this.#byTopicId.get(topicId)?.get(partition);
  }

  findById(topicId: string, partition: number): Partition<Token> | undefined {
    return this.#byTopicId.get(topicId)?.get(partition);
  }

  *partitions(): Generator<Partition<Token>> {
    for (const partitions of this.#byTopicId.values()) yield* partitions.values();
  }

  /** Takes one event in. The effects are to be carried out in order before the next event. */
  handle(event: ReplicaEvent<Token>): readonly ReplicaEffect<Token>[] {
    this.#effects = [];
    this.#dispatch(event);
    if ('partition' in event) event.partition.checkInvariants();
    return this.#effects;
  }

  #dispatch(event: ReplicaEvent<Token>): void {
    switch (event.type) {
      case 'assigned':
        for (const change of event.changes) this.#change(change);
        return;
      case 'wanted':
        this.#open(event.partition);
        return;
      case 'opened':
        this.#opened(event);
        return;
      case 'produce':
        this.#produce(event);
        return;
      case 'appended':
        this.#appended(event);
        return;
      case 'refused':
        this.#refuse(event.produce, event.error);
        return;
      case 'stable':
        this.#stable(event);
        return;
      case 'followerProgress':
        this.#followerProgress(event);
        return;
      case 'logStartMoved':
        if (event.partition.log.kind === 'online') event.partition.logStartMoved(event.logStartOffset);
        return;
      case 'logFailed':
        this.#failed(event.partition, event.reason);
        return;
      case 'tick':
        this.#expire(event.now);
        return;
      default:
        unreachable(event);
    }
  }

  // --- what the metadata log says ---

  #change(change: AssignmentChange): void {
    if (change.kind === 'unassign') {
      const partition = this.findById(change.topicId, change.partition);
      if (partition !== undefined) this.#remove(partition);
      return;
    }
    const { assignment } = change;
    const partition = this.findById(assignment.topicId, assignment.partition);
    if (partition === undefined) this.#add(assignment);
    else this.#reassign(partition, assignment);
  }

  #add(assignment: Assignment): void {
    const partition = new Partition<Token>(this.#nodeId, assignment);
    const siblings = this.#byTopicId.get(assignment.topicId);
    if (siblings === undefined) this.#byTopicId.set(assignment.topicId, new Map([[assignment.partition, partition]]));
    else siblings.set(assignment.partition, partition);
    // A topic created again has another id: its name leads to the newest from now on.
    this.#idsByName.set(assignment.topic, assignment.topicId);
    partition.checkInvariants();
  }

  #reassign(partition: Partition<Token>, assignment: Assignment): void {
    const led = partition.isLeader;
    partition.assign(assignment);
    if (led && !partition.isLeader) {
      const error =
        partition.leader === -1
          ? refusals.noLeader(partition)
          : refusals.notLeader(partition, partition.leader, partition.leaderEpoch);
      this.#abandon(partition, error);
    } else {
      // A smaller ISR may allow what a larger one held back.
      this.#commit(partition);
    }
    partition.checkInvariants();
  }

  #remove(partition: Partition<Token>): void {
    partition.removed();
    this.#abandon(partition, refusals.unknownPartition(partition));
    this.#effects.push({ type: 'deleteLog', partition });
    const siblings = this.#byTopicId.get(partition.topicId);
    siblings?.delete(partition.partition);
    if (siblings?.size === 0) {
      this.#byTopicId.delete(partition.topicId);
      if (this.#idsByName.get(partition.topic) === partition.topicId) this.#idsByName.delete(partition.topic);
    }
    partition.checkInvariants();
  }

  // --- the life of a log ---

  #open(partition: Partition<Token>): void {
    if (partition.log.kind !== 'closed') return;
    partition.opening();
    this.#effects.push({ type: 'openLog', partition });
  }

  #opened(event: EventOf<Token, 'opened'>): void {
    const { partition } = event;
    if (partition.log.kind !== 'opening') return;
    partition.opened(event);
    this.#effects.push({ type: 'online', partition });
    this.#commit(partition);
    for (const produce of partition.waitingForLog.drain()) {
      if (!produce.answered) this.#append(partition, produce);
    }
  }

  #failed(partition: Partition<Token>, reason: string): void {
    if (partition.log.kind === 'removed' || partition.log.kind === 'offline') return;
    partition.failed(reason);
    this.#abandon(partition, refusals.offline(partition, reason));
    this.#effects.push({ type: 'closeLog', partition });
  }

  // --- produce ---

  #produce(event: EventOf<Token, 'produce'>): void {
    const { partition } = event;
    const produce = new PendingProduce(partition, event.input);
    const error = partition.refusal() ?? tooFewReplicas(partition, produce);
    if (error !== undefined) {
      this.#refuse(produce, error);
      return;
    }
    if (partition.log.kind === 'online') {
      this.#append(partition, produce);
      return;
    }
    partition.waitingForLog.push(produce);
    this.#wait(produce);
    this.#open(partition);
  }

  #append(partition: Partition<Token>, produce: PendingProduce<Token>): void {
    const { leaderEpoch } = partition;
    this.#effects.push({ type: 'append', partition, produce, leaderEpoch });
  }

  #appended(event: EventOf<Token, 'appended'>): void {
    const { partition, produce } = event;
    produce.placed(event.baseOffset, event.endOffset, event.logAppendTimeMs);
    if (event.duplicate) {
      this.#appendedBefore(partition, produce);
      return;
    }
    partition.appended(produce);
    if (produce.acks === 'none') this.#succeed(partition, produce);
    else this.#wait(produce);
  }

  /** A retry: its first append is on its way, or long done. */
  #appendedBefore(partition: Partition<Token>, produce: PendingProduce<Token>): void {
    const reached = produce.acks === 'all' ? partition.highWatermark : partition.stableEndOffset;
    if (produce.acks === 'none' || produce.endOffset <= reached) {
      this.#succeed(partition, produce);
      return;
    }
    partition.appends.pushDuplicate(produce);
    this.#wait(produce);
  }

  #stable(event: EventOf<Token, 'stable'>): void {
    const { partition } = event;
    if (partition.log.kind !== 'online') return;
    partition.stable(event.endOffset);
    for (const produce of partition.appends.stable(partition.stableEndOffset)) this.#succeed(partition, produce);
    this.#commit(partition);
  }

  #followerProgress(event: EventOf<Token, 'followerProgress'>): void {
    const { partition } = event;
    // From before the last election: that follower may since have cut off what it reports.
    if (!partition.isLeader || event.leaderEpoch !== partition.leaderEpoch) return;
    if (partition.log.kind !== 'online') return;
    partition.followerProgress(event.brokerId, event.logEndOffset);
    this.#commit(partition);
  }

  /** Moves the high watermark as far as the ISR allows, answers what that satisfies, tells readers. */
  #commit(partition: Partition<Token>): void {
    if (!partition.advanceHighWatermark()) return;
    for (const produce of partition.appends.commit(partition.highWatermark)) {
      const { isr } = partition;
      const required = partition.config['min.insync.replicas'];
      if (isr.length >= required) this.#succeed(partition, produce);
      else this.#refuse(produce, refusals.notEnoughReplicasAfterAppend(partition, isr.length, required));
    }
    this.#effects.push({ type: 'highWatermark', partition });
  }

  /** This broker can no longer decide about the partition: nobody waits here any longer. */
  #abandon(partition: Partition<Token>, error: BarnabasError): void {
    for (const produce of partition.waitingForLog.drain()) if (!produce.answered) this.#refuse(produce, error);
    for (const produce of partition.appends.abandon()) this.#refuse(produce, error);
    this.#effects.push({ type: 'unavailable', partition, error });
  }

  // --- answers and deadlines ---

  #succeed(partition: Partition<Token>, produce: PendingProduce<Token>): void {
    const quiet = produce.acks === 'none';
    this.#answer(produce, {
      kind: 'appended',
      baseOffset: quiet ? -1 : produce.baseOffset,
      logAppendTimeMs: produce.logAppendTimeMs,
      logStartOffset: quiet ? -1 : partition.logStartOffset,
    });
  }

  #refuse(produce: PendingProduce<Token>, error: BarnabasError): void {
    this.#answer(produce, { kind: 'refused', error });
  }

  #answer(produce: PendingProduce<Token>, outcome: ProduceOutcome): void {
    produce.markAnswered();
    this.#purgatory.remove(produce);
    this.#effects.push({ type: 'respond', token: produce.token, outcome });
  }

  #wait(produce: PendingProduce<Token>): void {
    this.#purgatory.add(produce);
    if (produce.deadline < this.#wakeAt) this.#wake();
  }

  #expire(now: number): void {
    for (const produce of this.#purgatory.expire(now)) this.#refuse(produce, refusals.timedOut(produce.at));
    this.#wakeAt = Infinity;
    this.#wake();
  }

  #wake(): void {
    const at = this.#purgatory.nextDeadline();
    if (at === undefined || at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#effects.push({ type: 'wakeAt', at });
  }
}

function tooFewReplicas<Token>(partition: Partition<Token>, produce: PendingProduce<Token>): BarnabasError | undefined {
  const required = partition.config['min.insync.replicas'];
  if (produce.acks !== 'all' || partition.isr.length >= required) return undefined;
  return refusals.notEnoughReplicas(partition, partition.isr.length, required);
}
