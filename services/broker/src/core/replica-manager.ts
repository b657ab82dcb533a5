/**
 * The replica manager: all partitions that this broker holds, what it does as their leader or
 * follower, and the produce entries on their way through them. One event in, effects out; nothing else
 * happens in between, so there are no races to think of inside. The runtime carries the effects out in
 * order (runtime/turns.ts, runtime/replica-effects.ts).
 *
 * Owns: which replicas are here, their roles, the life of their logs; leaves the rest to
 *   produce-control    when an entry is answered and with what
 *   leader-control     followers, high watermark, in-sync set
 *   follower-control   following a leader
 *   offline-control    logs that have failed
 * Does not own: bytes on disk (log), what is in a batch (checked at the door), subscriptions of
 * consumers (fetch/), streams between brokers (replication/).
 *
 * Invariants P1 to P11 are in partition.ts, isr.ts and leader-state.ts, and are checked for the touched
 * partition after every event.
 * Protocol: docs/protocols/produce.md, docs/protocols/replication.md.
 */
import { unreachable } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import type { Assignment, AssignmentChange } from './assignment.js';
import type { EventOf, ReplicaEffect, ReplicaEvent } from './events.js';
import { FollowerControl } from './follower-control.js';
import { LeaderControl, superseded } from './leader-control.js';
import type { BrokerView } from './leader-state.js';
import { Partition } from './partition.js';
import { ProduceControl } from './produce-control.js';
import { OfflineControl } from './offline-control.js';
import * as refusals from './refusals.js';

export interface ReplicaManagerOptions {
  /** Kafka's replica.lag.time.max.ms. */
  readonly replicaLagTimeMaxMs: number;
}

const DEFAULTS: ReplicaManagerOptions = { replicaLagTimeMaxMs: 30_000 };

export class ReplicaManager<Token> {
  readonly #byTopicId = new Map<string, Map<number, Partition<Token>>>();
  readonly #idsByName = new Map<string, string>();
  readonly #produce: ProduceControl<Token>;
  readonly #leading: LeaderControl<Token>;
  readonly #following: FollowerControl<Token>;
  readonly #offline: OfflineControl<Token>;
  #brokers: ReadonlyMap<number, BrokerView> = new Map();
  #started = false;
  /** Taken away by images that may be older than this broker's registration: what they held is not deleted yet. */
  readonly #removedEarly = new Set<Partition<Token>>();
  #effects: ReplicaEffect<Token>[] = [];

  constructor(
    private readonly nodeId: number,
    options: ReplicaManagerOptions = DEFAULTS,
  ) {
    const emit = (effect: ReplicaEffect<Token>): void => void this.#effects.push(effect);
    const openLog = (partition: Partition<Token>): void => this.#open(partition);
    this.#produce = new ProduceControl(emit, openLog);
    this.#leading = new LeaderControl({
      emit,
      produce: this.#produce,
      replicaLagTimeMaxMs: options.replicaLagTimeMaxMs,
      viewOf: (id) => this.#brokers.get(id),
    });
    this.#following = new FollowerControl({ emit, openLog });
    this.#offline = new OfflineControl(emit);
  }

  /** Produce entries that wait for their acks. */
  get purgatorySize(): number {
    return this.#produce.purgatorySize;
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

  /** What the metadata log says of a broker. */
  broker(id: number): BrokerView | undefined {
    return this.#brokers.get(id);
  }

  /** Some log has failed and may come back: `caughtUp` is to be sent. */
  get hasFailures(): boolean {
    return this.#offline.isConcerned;
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
      case 'produce':
        return this.#produce.produce(event);
      case 'appended':
        return this.#produce.appended(event);
      case 'refused':
        return this.#produce.refuse(event.produce, event.error);
      case 'stable':
        return this.#stable(event);
      case 'tick':
        return this.#produce.expire(event.now);
      case 'assigned':
        for (const change of event.changes) this.#change(change, event.now);
        return;
      case 'brokers':
        return this.#brokersAre(event.brokers);
      case 'started':
        return this.#start();
      case 'wanted':
        return this.#open(event.partition);
      case 'opened':
        return this.#opened(event);
      case 'logStartMoved':
        return this.#logStartMoved(event);
      case 'logFailed':
        return this.#failed(event);
      case 'offlineReported':
        return this.#offline.reported(event.partition, event.metadataOffset);
      case 'caughtUp':
        return this.#offline.caughtUp(event.metadataOffset);
      case 'followed':
        return this.#leading.followed(event);
      case 'unfollowed':
        return this.#leading.unfollowed(event);
      case 'followerProgress':
        return this.#leading.progress(event);
      case 'isrCheck':
        for (const partition of this.partitions()) this.#leading.check(partition, event.now);
        return;
      case 'isrAnswered':
        return this.#leading.answered(event);
      case 'linked':
        return this.#following.linked(event);
      case 'unlinked':
        return this.#following.unlinked(event);
      case 'positioned':
        return this.#following.positioned(event);
      case 'batches':
        return this.#following.batches(event);
      case 'replicated':
        return this.#following.replicated(event);
      case 'marked':
        return this.#following.marked(event);
      case 'followEnded':
        return this.#following.followEnded(event);
      case 'paused':
        return this.#following.paused(event);
      default:
        unreachable(event);
    }
  }

  // --- what the metadata log says ---

  #change(change: AssignmentChange, now: number): void {
    if (change.kind === 'unassign') {
      const partition = this.findById(change.topicId, change.partition);
      if (partition !== undefined) this.#remove(partition);
      return;
    }
    const { assignment } = change;
    const partition = this.findById(assignment.topicId, assignment.partition);
    if (partition === undefined) this.#add(assignment, now);
    else this.#reassign(partition, assignment, now);
  }

  #add(assignment: Assignment, now: number): void {
    const partition = new Partition<Token>(this.nodeId, assignment, now);
    const siblings = this.#byTopicId.get(assignment.topicId);
    if (siblings === undefined) this.#byTopicId.set(assignment.topicId, new Map([[assignment.partition, partition]]));
    else siblings.set(assignment.partition, partition);
    // A topic created again has another id: its name leads to the newest from now on.
    this.#idsByName.set(assignment.topic, assignment.topicId);
    this.#following.begin(partition);
    partition.checkInvariants();
  }

  #reassign(partition: Partition<Token>, assignment: Assignment, now: number): void {
    const led = partition.isLeader;
    const { following, isr } = partition;
    const { isNewEpoch, over } = partition.assign(assignment, now);
    if (isNewEpoch) {
      this.#leading.endAll(over, () => refusals.leadershipOver(partition));
      if (following !== undefined) this.#following.end(partition, following);
      if (led && !partition.isLeader)
        this.#abandon(partition, refusals.notServed(partition), () => refusals.undecided(partition));
      this.#following.begin(partition);
    } else {
      this.#leading.endAll(over, () => superseded(partition));
      this.#following.reassigned(partition);
    }
    if (partition.isLeader) this.#leading.isrCommitted(partition, isr);
    partition.checkInvariants();
  }

  #remove(partition: Partition<Token>): void {
    const { following } = partition;
    this.#leading.endAll(partition.removed(), () => refusals.unknownTopicId(partition));
    if (following !== undefined) this.#following.end(partition, following);
    this.#abandon(partition, refusals.unknownPartition(partition), () => refusals.removedUndecided(partition));
    this.#offline.removed(partition);
    this.#deleteLog(partition);
    const siblings = this.#byTopicId.get(partition.topicId);
    siblings?.delete(partition.partition);
    if (siblings?.size === 0) {
      this.#byTopicId.delete(partition.topicId);
      if (this.#idsByName.get(partition.topic) === partition.topicId) this.#idsByName.delete(partition.topic);
    }
    partition.checkInvariants();
  }

  /**
   * Not before this broker has registered and seen itself serve. A broker that starts goes through the
   * metadata log as it was written, and deletes on the word of the present alone. Otherwise:
   *   1. F's replica was moved away, and later back; it was copied, and is in the ISR.
   *   2. F restarts, from an image before the first move, and hears of the move: it deletes its log.
   *   3. F hears of the rest, is elected, and leads with nothing.
   */
  #deleteLog(partition: Partition<Token>): void {
    if (this.#started) this.#effects.push({ type: 'deleteLog', partition });
    else this.#removedEarly.add(partition);
  }

  #deleteWhatWasRemovedEarly(): void {
    for (const partition of this.#removedEarly) {
      if (this.findById(partition.topicId, partition.partition) !== undefined) continue;
      this.#effects.push({ type: 'deleteLog', partition });
    }
    this.#removedEarly.clear();
  }

  /** A broker that serves again may be admitted, and one that does not need not be waited for. */
  #brokersAre(brokers: ReadonlyMap<number, BrokerView>): void {
    this.#brokers = brokers;
    for (const partition of this.partitions()) {
      if (partition.leading?.hasFollowers !== true) continue;
      this.#leading.admit(partition);
      this.#effects.push({ type: 'replicasMoved', partition });
    }
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#deleteWhatWasRemovedEarly();
    this.#leading.start();
    this.#following.start();
    this.#offline.start();
    for (const partition of this.partitions()) {
      this.#following.begin(partition);
      this.#leading.admit(partition);
    }
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
    this.#leading.commit(partition);
    this.#produce.opened(partition);
    this.#following.begin(partition);
  }

  #stable(event: EventOf<Token, 'stable'>): void {
    const { partition } = event;
    if (partition.log.kind !== 'online') return;
    partition.stable(event.endOffset);
    if (partition.isLeader) {
      this.#produce.stable(partition);
      this.#leading.commit(partition);
    } else {
      this.#following.stable(partition);
    }
  }

  #logStartMoved({ partition, logStartOffset }: EventOf<Token, 'logStartMoved'>): void {
    if (partition.log.kind !== 'online' || logStartOffset <= partition.logStartOffset) return;
    partition.logStartMoved(logStartOffset);
    if (partition.isLeader) this.#effects.push({ type: 'replicasMoved', partition });
    else this.#following.logStartMoved(partition);
  }

  #failed({ partition, reason, corrupt }: EventOf<Token, 'logFailed'>): void {
    if (partition.log.kind === 'removed' || partition.log.kind === 'offline') return;
    partition.failed(reason);
    const { following } = partition;
    const error = refusals.offline(partition, reason);
    this.#leading.endAll(partition.dropFollowers(), () => error);
    if (following !== undefined) this.#following.end(partition, following);
    this.#abandon(partition, error);
    this.#effects.push({ type: 'closeLog', partition });
    this.#offline.failed(partition, corrupt);
  }

  /** This broker can no longer decide about the partition: nobody waits here any longer. */
  #abandon(partition: Partition<Token>, error: BarnabasError, ofWritten = (): BarnabasError => error): void {
    this.#produce.abandon(partition, error, ofWritten);
    this.#effects.push({ type: 'unavailable', partition, error });
  }
}
