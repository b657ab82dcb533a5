/**
 * The partitions that a consumer reads, and the way from them to batches: what is fetched and what is not,
 * whose turn it is, what becomes of a position that is not in the log. What is handed out of it, and when it is
 * done, is HandOut's.
 *
 * Whatever is fetched ahead stays within fetch.max.bytes: leaders get credit for as much as has been taken.
 * Does not know of groups and commits; whoever assigns does.
 */
import type { BarnabasError } from '@barnabas/protocol';
import { toBarnabasError, v1 } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { whenPartitionKnown } from '../cluster/news.js';
import { FetchSession } from '../fetch/fetch-session.js';
import type { FetchedData } from '../fetch/partition-fetcher.js';
import type { ResolvedConsumerOptions } from '../options/consumer-options.js';
import { sleep } from '../cluster/backoff.js';
import { partitionName } from '../records.js';
import type { ConsumerRecord, TopicPartition } from '../records.js';
import type { AssignedPartition } from './assigned-partition.js';
import { BatchReader, unreadable } from './batch-reader.js';
import { interceptRecords } from './consumer-batch.js';
import { HandOut } from './hand-out.js';
import type { AssignedBatch } from './hand-out.js';
import { startOffsets } from './start-positions.js';
import type { StartPositionsParts } from './start-positions.js';

/** Bytes handed out before the event loop has its turn. */
const YIELD_AFTER_BYTES = 1024 * 1024;

export class Reading {
  readonly handOut: HandOut;
  readonly #router: ClusterRouter;
  readonly #options: ResolvedConsumerOptions;
  readonly #isolationLevel: v1.IsolationLevel;
  readonly #session: FetchSession;
  readonly #reader: BatchReader;
  #assigned = new Map<string, AssignedPartition>();
  #failure: BarnabasError | undefined;
  #wake: (() => void) | undefined;
  /** Somebody has begun to read: from then on data is fetched ahead. */
  #isStarted = false;
  #isClosed = false;
  #yieldedAtBytes = 0;

  constructor(router: ClusterRouter, options: ResolvedConsumerOptions) {
    this.#router = router;
    this.#options = options;
    this.#isolationLevel =
      options.isolationLevel === 'read_committed'
        ? v1.IsolationLevel.READ_COMMITTED
        : v1.IsolationLevel.READ_UNCOMMITTED;
    this.#session = new FetchSession(router, {
      windowBytes: options.fetchMaxBytes,
      maxBytes: Math.min(options.maxPartitionFetchBytes, options.fetchMaxBytes),
      minBytes: options.fetchMinBytes,
      maxWaitMs: options.fetchMaxWaitMs,
      isolationLevel: this.#isolationLevel,
      rack: options.clientRack,
    });
    this.#reader = new BatchReader({ ...options, intercept: this.#interceptor() });
    this.handOut = new HandOut((isReady) => this.#nextBatch(isReady));
  }

  /** How positions are looked up. */
  get lookup(): StartPositionsParts {
    return { router: this.#router, options: this.#options, isolationLevel: this.#isolationLevel };
  }

  // --- what is read ---

  get partitions(): readonly AssignedPartition[] {
    return [...this.#assigned.values()];
  }

  find({ topic, partition }: TopicPartition): AssignedPartition | undefined {
    return this.#assigned.get(partitionName(topic, partition));
  }

  /** These and no others. */
  replace(partitions: readonly AssignedPartition[]): void {
    for (const assigned of this.#assigned.values()) assigned.leave();
    this.#assigned = new Map(partitions.map((one) => [partitionName(one.topic, one.partition), one]));
    this.changed();
  }

  /** These besides the others. */
  add(partitions: readonly AssignedPartition[]): void {
    for (const one of partitions) this.#assigned.set(partitionName(one.topic, one.partition), one);
    this.changed();
  }

  remove(partitions: readonly AssignedPartition[]): void {
    for (const one of partitions) {
      one.leave();
      const name = partitionName(one.topic, one.partition);
      if (this.#assigned.get(name) === one) this.#assigned.delete(name);
    }
    this.changed();
  }

  /** From now on data is fetched ahead. */
  start(): void {
    this.#isStarted = true;
    this.#fetch();
  }

  /** Something of a partition has changed that decides whether it is fetched. */
  changed(): void {
    this.#reader.dropStale();
    this.#fetch();
  }

  /** Nothing can be read any more: whoever reads next is told. */
  fail(error: BarnabasError): void {
    this.#failure = error;
    this.signal();
  }

  /** The partition cannot be read from where it is. */
  failPartition(assigned: AssignedPartition, error: BarnabasError): void {
    assigned.hold();
    this.#reader.pushEnd(assigned, assigned.generation, error);
    this.signal();
  }

  close(): void {
    this.#isClosed = true;
    this.#session.close();
    this.signal();
  }

  // --- whoever reads ---

  /** Whether the event loop should have its turn first. */
  shouldYield(): boolean {
    const { takenBytes } = this.#reader;
    if (takenBytes - this.#yieldedAtBytes < YIELD_AFTER_BYTES) return false;
    this.#yieldedAtBytes = takenBytes;
    return true;
  }

  /** Resolves when there may be more. One waits at a time. */
  whenMore(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #nextBatch(isReady?: (assigned: AssignedPartition) => boolean): AssignedBatch | undefined {
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
    for (let item = this.#reader.next(isReady); item !== undefined; item = this.#reader.next(isReady)) {
      if (item.kind === 'batch') return item;
      this.#onEnd(item.assigned, item.error);
    }
    return undefined;
  }

  // --- positions that are not in the log ---

  /** A subscription has ended, and everything that came before has been handed out. */
  #onEnd(assigned: AssignedPartition, error: BarnabasError): void {
    const { autoOffsetReset } = this.#options;
    if (error.errorName === 'OFFSET_OUT_OF_RANGE' && autoOffsetReset !== 'none') {
      const divergingOffset = error.facts?.['divergingOffset'];
      if (typeof divergingOffset === 'number') this.#goBack(assigned, divergingOffset);
      else void this.#reset(assigned, autoOffsetReset);
      return;
    }
    // Fetched again from the same position if the application goes on without a seek.
    throw unreadable(assigned, error);
  }

  /** Records that were read are gone; from where the log parts from them there may be others (KIP-320). */
  #goBack(assigned: AssignedPartition, divergingOffset: number): void {
    const { topic, partition, position } = assigned;
    const to = Math.min(position, divergingOffset);
    this.#router.environment.logger.warn('records that were read are no longer in the log', {
      partition: partitionName(topic, partition),
      from: position,
      to,
      action:
        'a leader was elected without them, or the topic was made anew: look at unclean.leader.election.enable, and at what was made of them',
    });
    assigned.seek(to);
    this.changed();
  }

  async #reset(assigned: AssignedPartition, position: 'earliest' | 'latest'): Promise<void> {
    const { generation, topic, partition } = assigned;
    const from = assigned.position;
    const offset = await this.findStart(assigned, position);
    if (offset === undefined || assigned.generation !== generation) return;
    this.#router.environment.logger.warn('a position was out of range and has been reset', {
      partition: partitionName(topic, partition),
      from,
      to: offset,
      action: 'if records were lost to retention, raise it or consume faster',
    });
    assigned.seek(offset);
    this.changed();
  }

  /**
   * Has metadata of the partition's topic asked for and watched; without it nothing is fetched. One that the
   * topic is not known to have yet is waited for: who has said that it is there may have heard of it first.
   */
  async know(assigned: AssignedPartition): Promise<void> {
    const { generation } = assigned;
    const isWanted = (): boolean => assigned.generation === generation && !assigned.isGivenUp && !this.#isClosed;
    try {
      const { defaultApiTimeoutMs: timeoutMs } = this.#options;
      await whenPartitionKnown(this.#router, assigned, { timeoutMs, isWanted });
    } catch (error) {
      if (isWanted()) this.failPartition(assigned, toBarnabasError(error));
    }
  }

  /**
   * Undefined where it cannot be told: whoever reads next hears why. What may pass, a leader that is away
   * above all, is waited out for as long as the partition is wanted.
   */
  async findStart(assigned: AssignedPartition, position: 'earliest' | 'latest'): Promise<number | undefined> {
    const { generation, topic, partition } = assigned;
    const { environment, options } = this.#router;
    for (;;) {
      try {
        const [offset = 0] = await startOffsets(this.lookup, [{ topic, partition, position }]);
        return offset;
      } catch (thrown) {
        const error = toBarnabasError(thrown);
        const isWanted = assigned.generation === generation && !assigned.isGivenUp && !this.#isClosed;
        if (!isWanted || !mayPass(error)) {
          this.#reader.pushEnd(assigned, generation, error);
          this.signal();
          return undefined;
        }
        environment.logger.warn('where reading is to begin cannot be found out yet', {
          partition: partitionName(topic, partition),
          action: 'look at why the partition has no leader: barnabas topics describe --unavailable',
          error,
        });
      }
      await sleep(environment.timers, options.retryBackoffMaxMs);
    }
  }

  // --- fetching ---

  /** Subscribes what is not and should be. */
  #fetch(): void {
    if (!this.#isStarted || this.#isClosed) return;
    for (const assigned of this.#assigned.values()) if (assigned.wantsFetching) this.#subscribe(assigned);
  }

  #subscribe(assigned: AssignedPartition): void {
    const { generation } = assigned;
    const position = { offset: assigned.position, lastEpoch: assigned.positionEpoch, topicId: assigned.topicId };
    const subscription = this.#session.subscribe(assigned, position, {
      onData: (data) => this.#onData(assigned, generation, data),
      onError: (error) => {
        assigned.hold();
        this.#reader.pushEnd(assigned, generation, error);
        this.signal();
      },
    });
    assigned.attach(subscription);
  }

  #onData(assigned: AssignedPartition, generation: number, data: FetchedData): void {
    const isCommitted = this.#isolationLevel === v1.IsolationLevel.READ_COMMITTED;
    assigned.endOffset = isCommitted ? data.lastStableOffset : data.highWatermark;
    this.#reader.push(assigned, generation, data);
    this.signal();
  }

  #interceptor(): ((records: readonly ConsumerRecord[]) => readonly ConsumerRecord[]) | undefined {
    const { interceptors } = this.#options;
    if (interceptors.length === 0) return undefined;
    return (records) =>
      interceptRecords(interceptors, records, (error) =>
        this.#router.environment.logger.warn('a consumer interceptor threw and was passed over', {
          error,
          action: 'correct the interceptor',
        }),
      );
  }
}

/** Another leader, or a later try, may do. A damaged log is for a person, and a topic that is gone for the application. */
function mayPass({ retriable, action, errorName }: BarnabasError): boolean {
  return retriable && action !== 'report' && errorName !== 'UNKNOWN_TOPIC_OR_PARTITION';
}
