/**
 * A consumer's membership: joins when the application first asks for records, takes what it is assigned,
 * gives up what is revoked after what is being worked on is done and committed, and leaves when the
 * application does not come back.
 *
 * Owns: the subscription, the membership, the order of rebalance callbacks. Does not own: reading, commits.
 *
 * Invariants:
 *   G1  from the turn in which a partition is revoked or lost nothing more of it is handed out
 *   G2  callbacks come one after another, in the order of what they tell of, and nothing of a partition is
 *       handed out before its onAssigned has ended
 *   G3  a revoked partition is released after its onRevoked has ended and its commit, or at the end of the grace
 */
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import { sleep } from '../cluster/backoff.js';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import type { FetchedOffset, GroupTopicPartition } from '../group/group-types.js';
import { Membership } from '../group/membership.js';
import type { ResolvedConsumerOptions } from '../options/consumer-options.js';
import { partitionName } from '../records.js';
import type { TopicPartition } from '../records.js';
import { AssignedPartition, UNKNOWN_POSITION } from './assigned-partition.js';
import type { Commits } from './commits.js';
import { PollClock } from './poll-clock.js';
import type { Activity } from './poll-clock.js';
import type { Reading } from './reading.js';
import { NO_SUBSCRIPTION } from './subscription.js';
import type { RebalanceListener, Subscription } from './subscription.js';

export interface GroupConsumerParts {
  readonly router: ClusterRouter;
  readonly options: ResolvedConsumerOptions;
  readonly clientId: string;
  readonly reading: Reading;
  readonly commits: Commits;
  readonly activity: () => Activity;
}

/** How long a consumer whose application is late tries to commit, and to leave. */
const LATE_LEAVING_MS = 10_000;

export class GroupConsumer {
  readonly #parts: GroupConsumerParts;
  readonly #clock: PollClock;
  #subscription: Subscription = NO_SUBSCRIPTION;
  #membership: Membership | undefined;
  /** The end of the last callback. */
  #callbacks: Promise<void> = Promise.resolve();
  #leaving: Promise<void> = Promise.resolve();

  constructor(parts: GroupConsumerParts) {
    this.#parts = parts;
    const { router, options, activity } = parts;
    this.#clock = new PollClock(router.environment, options.maxPollIntervalMs, activity, () => this.#onLate());
  }

  get membership(): Membership | undefined {
    return this.#membership;
  }

  get subscription(): Subscription {
    return this.#subscription;
  }

  get isSubscribed(): boolean {
    return this.#subscription !== NO_SUBSCRIPTION;
  }

  /** In place of the subscription before. The group is joined when records are asked for. */
  subscribe(subscription: Subscription): void {
    this.#subscription = subscription;
    this.#membership?.subscribe(subscription.topics, subscription.pattern);
  }

  /** The application asks for records: joins, if it has not or has left for being late. */
  onPoll(): void {
    if (this.#membership !== undefined || !this.isSubscribed) return;
    const { router, options, clientId } = this.#parts;
    const { topics, pattern } = this.#subscription;
    const membership: Membership = new Membership(
      router,
      {
        ...{ groupId: options.groupId, topics, pattern, instanceId: options.groupInstanceId },
        ...{ rackId: options.clientRack, clientId, assignor: options.groupRemoteAssignor },
        rebalanceTimeoutMs: options.maxPollIntervalMs,
      },
      {
        onJoined: ({ memberId, memberEpoch }) =>
          router.environment.logger.info('joined a group', { group: options.groupId, memberId, memberEpoch }),
        onAssigned: (partitions, committed) => this.#onAssigned(membership, partitions, committed),
        onRevoked: (partitions, graceMs) => this.#onRevoked(membership, partitions, graceMs),
        onLost: (_, error) => this.#onLost(error),
        onFatal: (error) => this.#onFatal(error),
      },
    );
    this.#membership = membership;
    this.#clock.start();
    // One that has just left for being late may still be saying so.
    void this.#leaving.then(() => {
      if (this.#membership === membership) membership.start();
    });
  }

  /** Gives everything up in good order and leaves, within the time. */
  async leave(timeoutMs: number): Promise<void> {
    const { reading, commits, router } = this.#parts;
    const deadlineMs = this.#now() + timeoutMs;
    const listener = this.#listener;
    this.#subscription = NO_SUBSCRIPTION;
    this.#clock.stop();
    const membership = this.#membership;
    if (membership === undefined) return this.#leaving;
    const partitions = reading.partitions;
    for (const assigned of partitions) assigned.giveUp();
    this.#enqueue(async () => {
      const left = partitions.filter(({ isGone }) => !isGone);
      if (left.length > 0) await listener.onRevoked?.(left.map(nameOf));
      await commits.commitDone(left, Math.max(1, deadlineMs - this.#now()));
    });
    await Promise.race([this.#callbacks, sleep(router.environment.timers, timeoutMs)]);
    this.#membership = undefined;
    reading.remove(partitions);
    this.#leaving = membership.leave(Math.max(1, deadlineMs - this.#now()));
    await this.#leaving;
  }

  // --- what the membership tells ---

  #onAssigned(
    membership: Membership,
    partitions: readonly GroupTopicPartition[],
    committed: readonly FetchedOffset[],
  ): void {
    const { reading } = this.#parts;
    const assigned = partitions.map((partition, index) => toAssigned(partition, committed[index]));
    for (const one of assigned) one.suspend();
    reading.add(assigned);
    this.#enqueue(async () => {
      if (this.#membership !== membership) return;
      const owned = assigned.filter(({ isGone }) => !isGone).map(nameOf);
      if (owned.length > 0) await this.#listener.onAssigned?.(owned);
      await Promise.all(assigned.map((one, index) => this.#begin(one, committed[index]?.error)));
    });
  }

  /** Finds where to begin, unless the application has said so, and lets the partition go. */
  async #begin(assigned: AssignedPartition, error: BarnabasError | undefined): Promise<void> {
    const { reading, options } = this.#parts;
    const { generation } = assigned;
    // Nobody else has asked for its leader where the position needs no looking up.
    await reading.know(assigned);
    assigned.unsuspend();
    // It was revoked meanwhile.
    if (assigned.isSuspended) return;
    if (assigned.position >= 0) {
      reading.changed();
      return;
    }
    if (error !== undefined || options.autoOffsetReset === 'none') {
      reading.failPartition(assigned, error ?? nothingCommitted(options.groupId, assigned));
      return;
    }
    const offset = await reading.findStart(assigned, options.autoOffsetReset);
    if (offset === undefined || assigned.generation !== generation) return;
    // Not a seek: nothing has been committed that this could be below of.
    assigned.moveTo({ offset, leaderEpoch: -1 });
    reading.changed();
  }

  #onRevoked(membership: Membership, partitions: readonly GroupTopicPartition[], graceMs: number): void {
    const { reading, commits, router } = this.#parts;
    const revoked = this.#find(partitions);
    for (const assigned of revoked) assigned.giveUp();
    reading.changed();
    const deadlineMs = this.#now() + graceMs;
    // What is not done by then goes all the same; whoever works on it is told by its signal.
    const timer = router.environment.timers.after(graceMs, () => reading.remove(revoked));
    this.#enqueue(
      async () => {
        await this.#whenIdle(revoked, deadlineMs);
        const left = revoked.filter(({ isGone }) => !isGone);
        if (left.length > 0) await this.#listener.onRevoked?.(left.map(nameOf));
        await commits.commitDone(
          revoked.filter(({ isGone }) => !isGone),
          Math.max(1, deadlineMs - this.#now()),
        );
      },
      () => {
        timer.cancel();
        reading.remove(revoked);
        membership.released(partitions);
      },
    );
  }

  #onLost(error: BarnabasError): void {
    const { reading, router, options } = this.#parts;
    const lost = reading.partitions;
    reading.remove(lost);
    router.environment.logger.warn('a consumer has lost its membership in a group, and joins again', {
      group: options.groupId,
      error: error.message,
      action: 'look for a consumer that stood still, or a network that did; what was not committed is read again',
    });
    this.#tellLost(lost);
  }

  #onFatal(error: BarnabasError): void {
    const { reading } = this.#parts;
    this.#clock.stop();
    this.#membership = undefined;
    const lost = reading.partitions;
    reading.remove(lost);
    this.#tellLost(lost);
    // Asked for records again, it would only fail again: the application subscribes anew.
    this.#subscription = NO_SUBSCRIPTION;
    reading.fail(error);
  }

  /** As in Kafka: a listener that does not tell the two apart hears of a revocation. */
  #tellLost(lost: readonly AssignedPartition[]): void {
    if (lost.length === 0) return;
    const listener = this.#listener;
    this.#enqueue(async () => {
      await (listener.onLost ?? listener.onRevoked)?.(lost.map(nameOf));
    });
  }

  // --- an application that does not come back ---

  #onLate(): void {
    const { reading, commits, options, router } = this.#parts;
    const membership = this.#membership;
    if (membership === undefined) return;
    router.environment.logger.warn(
      'the application has not come back for max.poll.interval.ms: its consumer leaves the group',
      {
        group: options.groupId,
        maxPollIntervalMs: options.maxPollIntervalMs,
        action:
          'make handling shorter, take fewer records at a time, or raise maxPollIntervalMs; it joins again when the application comes back',
      },
    );
    const partitions = reading.partitions;
    for (const assigned of partitions) assigned.giveUp();
    this.#membership = undefined;
    // What is done is still its own to commit, for as long as it has not left.
    const committing = commits.commitDone(partitions, LATE_LEAVING_MS, membership);
    reading.remove(partitions);
    this.#leaving = committing.then(() => membership.leave(LATE_LEAVING_MS));
    this.#tellLost(partitions);
  }

  // --- callbacks ---

  get #listener(): RebalanceListener {
    return this.#subscription.listener;
  }

  /** Runs `task` behind what came before; what it throws is for whoever reads next. */
  #enqueue(task: () => Promise<void>, then: () => void = () => undefined): void {
    this.#callbacks = this.#callbacks.then(async () => {
      try {
        await task();
      } catch (thrown) {
        this.#parts.reading.fail(listenerThrew(thrown));
      } finally {
        then();
      }
    });
  }

  /** Until nobody works on them, or the grace is over. */
  async #whenIdle(partitions: readonly AssignedPartition[], deadlineMs: number): Promise<void> {
    const { timers } = this.#parts.router.environment;
    const idle = Promise.all(partitions.map((assigned) => assigned.whenIdle()));
    await Promise.race([idle, sleep(timers, Math.max(0, deadlineMs - this.#now()))]);
  }

  #find(partitions: readonly TopicPartition[]): readonly AssignedPartition[] {
    const found = partitions.map((one) => this.#parts.reading.find(one));
    return found.filter((one) => one !== undefined);
  }

  #now(): number {
    return this.#parts.router.environment.clock.monotonic();
  }
}

function toAssigned(partition: GroupTopicPartition, committed: FetchedOffset | undefined): AssignedPartition {
  const { offset = UNKNOWN_POSITION, leaderEpoch = -1, error } = committed ?? {};
  const assigned = new AssignedPartition(partition, offset, leaderEpoch, partition.topicId);
  assigned.committedOffset = offset;
  assigned.rewinds = error === undefined ? committed?.rewinds : undefined;
  return assigned;
}

function nameOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}

function nothingCommitted(groupId: string, { topic, partition }: TopicPartition): BarnabasError {
  return new BarnabasError(
    'OFFSET_OUT_OF_RANGE',
    `group ${groupId} has committed nothing for ${partitionName(topic, partition)}, and auto.offset.reset is none: seek`,
    { topic, partition },
  );
}

function listenerThrew(thrown: unknown): BarnabasError {
  const { errorName, message } = toBarnabasError(thrown);
  return new BarnabasError(errorName, `a rebalance listener failed: ${message}`, undefined, { cause: thrown });
}
