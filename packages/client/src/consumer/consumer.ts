/**
 * A consumer: reads partitions that it is told to read (`assign`), or shares those of topics with the other
 * members of its group (`subscribe`), and hands records out by async iteration or to handlers.
 *
 * The face of it: positions are Reading's, membership is GroupConsumer's, commits are Commits', handlers are
 * HandlerRun's business. A position is the offset after the last record that the application got.
 */
import { BarnabasError } from '@barnabas/protocol';
import { sleep } from '../cluster/backoff.js';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { GroupCalls } from '../group/group-calls.js';
import type { OffsetToCommit } from '../group/group-types.js';
import { MemberOffsets, NOBODYS_MEMBER } from '../group/member-offsets.js';
import { resolveConsumerOptions } from '../options/consumer-options.js';
import type { ConsumerOptions, ResolvedConsumerOptions } from '../options/consumer-options.js';
import { partitionName } from '../records.js';
import type { Assignment, ConsumerRecord, TopicPartition } from '../records.js';
import { AssignedPartition } from './assigned-partition.js';
import { Commits } from './commits.js';
import type { Committer, OffsetAndMetadata, OffsetCommitCallback } from './commits.js';
import type { ConsumerBatch } from './consumer-batch.js';
import { ConsumerIterator } from './consumer-iterator.js';
import { GroupConsumer } from './group-consumer.js';
import { HandlerRun } from './handler-run.js';
import { listOffsets } from './list-offsets.js';
import type { FoundOffset, OffsetQuestion } from './list-offsets.js';
import { Reading } from './reading.js';
import { resolveRunOptions } from './run-options.js';
import type { RunOptions } from './run-options.js';
import { startOffsets } from './start-positions.js';
import { toSubscription } from './subscription.js';
import type { RebalanceListener, SubscribedTopics } from './subscription.js';

/** Who this consumer is in its group. */
export interface ConsumerGroupMetadata {
  readonly groupId: string;
  /** Empty while it is not a member. */
  readonly memberId: string;
  /** Kafka's generation id; -1 while it is not a member. */
  readonly memberEpoch: number;
  readonly groupInstanceId: string;
}

export interface ConsumerParts {
  readonly clientId?: string;
  readonly onClosed?: () => void;
}

/** Kafka's default for close. */
const CLOSE_TIMEOUT_MS = 30_000;

export class Consumer implements AsyncIterable<ConsumerRecord> {
  readonly #router: ClusterRouter;
  readonly #options: ResolvedConsumerOptions;
  readonly #reading: Reading;
  readonly #commits: Commits;
  readonly #group: GroupConsumer;
  readonly #nobody: Committer;
  readonly #onClosed: () => void;
  #assignments = 0;
  #isReading = false;
  #isWaiting = false;
  #turn = 0;
  #run: HandlerRun | undefined;
  /** Nothing more is read; listeners may still commit. */
  #isClosed = false;
  #hasLeft = false;
  #closing: Promise<void> | undefined;

  /** Made by BarnabasClient.consumer. */
  constructor(router: ClusterRouter, given: ConsumerOptions = {}, { clientId = '', onClosed }: ConsumerParts = {}) {
    const options = resolveConsumerOptions(given);
    this.#router = router;
    this.#options = options;
    this.#onClosed = onClosed ?? (() => undefined);
    this.#reading = new Reading(router, options);
    const reading = this.#reading;
    this.#commits = new Commits(router, options, {
      committer: () => this.#committer(),
      reader: () => this.#offsetReader(),
      find: (partition) => reading.find(partition),
      partitions: () => reading.partitions,
      position: (assigned) =>
        this.#run === undefined ? { offset: assigned.position, leaderEpoch: assigned.positionEpoch } : assigned.done,
    });
    const activity = () => this.#run?.activity ?? { turn: this.#turn, isWaiting: this.#isWaiting };
    this.#group = new GroupConsumer({ router, options, clientId, reading, commits: this.#commits, activity });
    const offsets = new MemberOffsets(router, new GroupCalls(router, options.groupId), NOBODYS_MEMBER);
    this.#nobody = {
      commit: (list, how) => offsets.commit(list, how),
      fetchOffsets: (partitions, timeoutMs) => offsets.fetch(partitions, timeoutMs),
    };
  }

  // --- what is read ---

  /**
   * Shares the partitions of these topics with the other members of the group, from when records are first
   * asked for. Replaces the subscription before. Needs a group id; not together with `assign`.
   */
  subscribe(topics: SubscribedTopics, listener: RebalanceListener = {}): void {
    this.#checkOpen();
    this.#checkGroup();
    const isAssigned = !this.#group.isSubscribed && this.#reading.partitions.length > 0;
    if (isAssigned) throw new BarnabasError('INVALID_REQUEST', 'partitions are assigned: assign([]) before subscribe');
    this.#group.subscribe(toSubscription(topics, listener));
  }

  /** What is subscribed to: names, or a pattern. */
  subscription(): { readonly topics: readonly string[]; readonly pattern: string } {
    const { topics, pattern } = this.#group.subscription;
    return { topics, pattern };
  }

  /** Commits what is done with if that is to happen by itself, leaves the group, and reads nothing any more. */
  async unsubscribe(): Promise<void> {
    this.#checkOpen();
    if (this.#group.isSubscribed) await this.#group.leave(this.#options.defaultApiTimeoutMs);
    this.#reading.replace([]);
  }

  /**
   * Reads these partitions and no others. Resolves when their positions are known; until then what was
   * assigned before goes on. Without a position a partition goes on where the group has committed, if there
   * is a group. Rejects, and changes nothing, if one of them does not exist.
   */
  async assign(assignments: readonly Assignment[]): Promise<void> {
    this.#checkOpen();
    if (this.#group.isSubscribed) {
      throw new BarnabasError('INVALID_REQUEST', 'topics are subscribed to: unsubscribe before assign');
    }
    const names = new Set(assignments.map(({ topic, partition }) => partitionName(topic, partition)));
    if (names.size < assignments.length) throw new BarnabasError('INVALID_REQUEST', 'a partition is assigned twice');
    const version = ++this.#assignments;
    const committed = await this.#committedOf(assignments);
    const wanted = assignments.map((assignment, index) => {
      const offset = committed[index]?.offset;
      return offset === undefined ? assignment : { ...assignment, position: { offset } };
    });
    const offsets = await startOffsets(this.#reading.lookup, wanted);
    // A later call has the last word.
    if (version !== this.#assignments || this.#isClosed) return;
    this.#reading.replace(
      assignments.map((assignment, index) => {
        const { offset = -1, leaderEpoch = -1 } = committed[index] ?? {};
        const assigned = new AssignedPartition(assignment, offsets[index] ?? 0, leaderEpoch);
        assigned.committedOffset = offset;
        return assigned;
      }),
    );
  }

  /** What is assigned. */
  assignment(): readonly TopicPartition[] {
    return this.#reading.partitions.map(({ topic, partition }) => ({ topic, partition }));
  }

  /** Who this consumer is in its group. */
  groupMetadata(): ConsumerGroupMetadata {
    this.#checkGroup();
    const { groupId, groupInstanceId } = this.#options;
    const { membership } = this.#group;
    if (membership?.isMember !== true) return { groupId, memberId: '', memberEpoch: -1, groupInstanceId };
    const { memberId, memberEpoch } = membership.identity;
    return { groupId, memberId, memberEpoch, groupInstanceId };
  }

  /** Has the coordinator look at the group's assignment again. */
  enforceRebalance(): void {
    this.#checkGroup();
    this.#group.membership?.enforceRebalance();
  }

  // --- positions ---

  /** The next record of the partition to be handed out is the first at or after `offset`. */
  seek(partition: TopicPartition, offset: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new BarnabasError('INVALID_REQUEST', `an offset is a whole number from 0, not ${offset}`);
    }
    this.#find(partition).seek(offset);
    this.#reading.changed();
  }

  /** To the first record there is; all assigned partitions if none are named. */
  seekToBeginning(partitions: readonly TopicPartition[] = this.assignment()): Promise<void> {
    return this.#seekTo(partitions, 'earliest');
  }

  /** Behind the last record there is; all assigned partitions if none are named. */
  seekToEnd(partitions: readonly TopicPartition[] = this.assignment()): Promise<void> {
    return this.#seekTo(partitions, 'latest');
  }

  /** Offset of the next record that will be handed out. OFFSET_NOT_AVAILABLE while it is being looked up. */
  position(partition: TopicPartition): number {
    const { position } = this.#find(partition);
    if (position >= 0) return position;
    throw new BarnabasError(
      'OFFSET_NOT_AVAILABLE',
      `the position of ${partitionName(partition.topic, partition.partition)} is being looked up: ask again soon`,
    );
  }

  /** Hands out and fetches nothing more of these partitions, until they are resumed or taken away. */
  pause(partitions: readonly TopicPartition[]): void {
    for (const assigned of partitions.map((partition) => this.#find(partition))) assigned.pause();
    this.#reading.changed();
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const assigned of partitions.map((partition) => this.#find(partition))) assigned.resume();
    this.#reading.changed();
    this.#reading.signal();
  }

  /** What is paused. */
  paused(): readonly TopicPartition[] {
    return this.assignment().filter((partition) => this.#find(partition).isPaused);
  }

  /** How many offsets the position is behind the end of the partition as last heard; undefined before anything was. */
  currentLag(partition: TopicPartition): number | undefined {
    const { endOffset, position } = this.#find(partition);
    return endOffset === undefined || position < 0 ? undefined : Math.max(0, endOffset - position);
  }

  /** The first offset that each partition has; they need not be assigned. */
  beginningOffsets(partitions: readonly TopicPartition[]): Promise<readonly FoundOffset[]> {
    return this.#listOffsets(partitions.map(({ topic, partition }) => ({ topic, partition, spec: 'earliest' })));
  }

  /** The offset after the last record that may be read of each partition; they need not be assigned. */
  endOffsets(partitions: readonly TopicPartition[]): Promise<readonly FoundOffset[]> {
    return this.#listOffsets(partitions.map(({ topic, partition }) => ({ topic, partition, spec: 'latest' })));
  }

  /** The first record at or after each time; undefined where there is none. */
  async offsetsForTimes(
    times: readonly (TopicPartition & { readonly timestamp: number })[],
  ): Promise<readonly (FoundOffset | undefined)[]> {
    const questions = times.map(({ topic, partition, timestamp }) => ({ topic, partition, spec: { timestamp } }));
    return (await this.#listOffsets(questions)).map((found) => (found.offset < 0 ? undefined : found));
  }

  // --- commits ---

  /**
   * Commits these offsets, each the next one to read; without them the positions of everything assigned
   * (Kafka's commitSync), or, while `run` is under way, what its handlers have finished. Tried again until it
   * succeeds, fails for good or default.api.timeout.ms is over. UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH and
   * STALE_MEMBER_EPOCH: the partitions are another's, who reads on from the last commit.
   */
  async commit(offsets?: readonly OffsetToCommit[]): Promise<void> {
    this.#checkNotLeft();
    await this.#commits.commit(offsets);
  }

  /** The same without waiting. Commits are made in the order in which they are asked for. */
  commitAsync(offsets?: readonly OffsetToCommit[], callback?: OffsetCommitCallback): void {
    this.#checkNotLeft();
    this.#checkGroup();
    this.#commits.commitAsync(offsets, callback);
  }

  /** What the group has committed of each partition; undefined where it has nothing. */
  async committed(partitions: readonly TopicPartition[]): Promise<readonly (OffsetAndMetadata | undefined)[]> {
    this.#checkNotLeft();
    return this.#commits.committed(partitions);
  }

  // --- reading ---

  /**
   * Records as they come, for ever: ordered within each partition. A record is done, and may be committed by
   * itself, when the loop comes back for the next. Leaving the loop keeps the place; a new loop goes on there.
   * Ends when the consumer is closed; fails with what cannot be mended here (a batch that fails its CRC,
   * OFFSET_OUT_OF_RANGE with auto.offset.reset none, which also tells that records that were read are gone; a
   * membership that the coordinator refuses), and can be started again after a seek. One loop or run at a time.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<ConsumerRecord> {
    return this.#iterate(() => this.#reading.handOut.takeRecord());
  }

  /** The same by record batches, whose records are decoded when they are asked for: the fastest way. */
  batches(): AsyncIterableIterator<ConsumerBatch> {
    return this.#iterate(() => this.#reading.handOut.takeBatch());
  }

  /**
   * Hands records or batches to a handler, several at a time if told so, in order within each partition or
   * key. A record is done when its handler has resolved; commits cover what is done without a gap. Resolves
   * when the consumer is closed or `signal` ends it; rejects with what a handler throws first, after the
   * others have ended: a new run or loop goes on with the first record that was not done.
   */
  async run(given: RunOptions): Promise<void> {
    const options = resolveRunOptions(given);
    this.#begin();
    const run = new HandlerRun({ reading: this.#reading, options, onTurn: () => this.#group.onPoll() });
    this.#run = run;
    try {
      await run.run();
    } finally {
      this.#run = undefined;
      this.#isReading = false;
      this.#turn++;
    }
  }

  /**
   * Ends loops and runs, waits for handlers, commits what is done with if that is to happen by itself, and
   * leaves the group; all within `timeoutMs`. Not to be awaited by a handler of `run`, which it waits for.
   */
  close(timeoutMs: number = CLOSE_TIMEOUT_MS): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    const { clock, timers } = this.#router.environment;
    const deadlineMs = clock.monotonic() + timeoutMs;
    const leftMs = (): number => Math.max(1, deadlineMs - clock.monotonic());
    this.#isClosed = true;
    this.#run?.stop();
    this.#reading.signal();
    if (this.#run !== undefined) {
      const ended = this.#run.run().catch(() => undefined);
      await Promise.race([ended, sleep(timers, timeoutMs)]);
    }
    this.#commits.stop();
    if (this.#options.groupId !== '') {
      if (!this.#group.isSubscribed) await this.#commits.commitDone(this.#reading.partitions, leftMs());
      await Promise.race([this.#commits.settled(), sleep(timers, leftMs())]);
      await this.#group.leave(leftMs());
    }
    this.#hasLeft = true;
    this.#reading.close();
    this.#onClosed();
  }

  #begin(): void {
    this.#checkOpen();
    if (this.#isReading) {
      throw new BarnabasError('INVALID_REQUEST', 'the consumer is being read already: leave that loop or run first');
    }
    this.#isReading = true;
    this.#group.onPoll();
    this.#commits.start();
    this.#reading.start();
  }

  #iterate<T>(take: () => T | undefined): ConsumerIterator<T> {
    this.#begin();
    return new ConsumerIterator({
      take: () => {
        this.#turn++;
        this.#group.onPoll();
        return this.#isClosed ? undefined : take();
      },
      whenMore: async () => {
        if (this.#isClosed) return false;
        this.#isWaiting = true;
        await this.#reading.whenMore();
        this.#isWaiting = false;
        return !this.#isClosed;
      },
      shouldYield: () => this.#reading.shouldYield(),
      release: () => {
        this.#turn++;
        this.#isReading = false;
        this.#reading.handOut.stopWorking();
      },
    });
  }

  async #seekTo(partitions: readonly TopicPartition[], position: 'earliest' | 'latest'): Promise<void> {
    const targets = partitions.map((partition) => this.#find(partition));
    const generations = targets.map(({ generation }) => generation);
    const assignments = targets.map(({ topic, partition }) => ({ topic, partition, position }));
    const offsets = await startOffsets(this.#reading.lookup, assignments);
    targets.forEach((assigned, index) => {
      // A later seek has the last word.
      if (assigned.generation === generations[index]) assigned.seek(offsets[index] ?? 0);
    });
    this.#reading.changed();
  }

  #listOffsets(questions: readonly OffsetQuestion[]): Promise<FoundOffset[]> {
    const { isolationLevel } = this.#reading.lookup;
    return listOffsets(this.#router, questions, { isolationLevel, timeoutMs: this.#options.defaultApiTimeoutMs });
  }

  /** Where the group stands in those that have no position. */
  async #committedOf(assignments: readonly Assignment[]): Promise<readonly (OffsetAndMetadata | undefined)[]> {
    const asked = assignments.filter(({ position }) => position === undefined);
    if (this.#options.groupId === '' || asked.length === 0) return [];
    const found = await this.#commits.committed(asked);
    const byAssignment = new Map(asked.map((assignment, index) => [assignment, found[index]]));
    return assignments.map((assignment) => byAssignment.get(assignment));
  }

  #committer(): Committer {
    this.#checkGroup();
    if (!this.#group.isSubscribed && this.#group.membership === undefined) return this.#nobody;
    const { membership } = this.#group;
    if (membership !== undefined) return membership;
    throw new BarnabasError(
      'UNKNOWN_MEMBER_ID',
      `this consumer is not a member of group ${this.#options.groupId} now: it joins when records are asked for`,
    );
  }

  #offsetReader(): Committer {
    this.#checkGroup();
    const { membership } = this.#group;
    return membership?.isMember === true ? membership : this.#nobody;
  }

  #find(partition: TopicPartition): AssignedPartition {
    const assigned = this.#reading.find(partition);
    if (assigned !== undefined) return assigned;
    const name = partitionName(partition.topic, partition.partition);
    throw new BarnabasError('INVALID_REQUEST', `${name} is not assigned: assign it first`);
  }

  #checkGroup(): void {
    if (this.#options.groupId !== '') return;
    throw new BarnabasError('INVALID_GROUP_ID', 'this consumer has no group: give it the option groupId');
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new BarnabasError('INVALID_REQUEST', 'the consumer is closed');
  }

  #checkNotLeft(): void {
    if (this.#hasLeft) throw new BarnabasError('INVALID_REQUEST', 'the consumer is closed');
  }
}
