/**
 * The group coordinator of a broker: a shard for each partition of __consumer_offsets that it leads.
 *
 * A shard lives as long as this broker leads its partition in one leader epoch:
 *   loading   its log is being read                        COORDINATOR_LOAD_IN_PROGRESS
 *   active    it decides
 *   failed    its log could not be read; tried again       COORDINATOR_NOT_AVAILABLE
 * When the lead or the leader epoch moves it is dropped with all that waits (NOT_COORDINATOR, with the new
 * leader where the metadata names one), and loaded anew if this broker leads again (R4 of group-shard.ts).
 *
 * Owns: which shards there are. Does not own: what they decide, how they are run (shard-runner.ts).
 * Protocol: docs/protocols/groups.md, section 12.
 */
import { InvariantError } from '@barnabas/common';
import type { Clock, Logger, Timer, Timers } from '@barnabas/common';
import { NO_LEADER } from '@barnabas/metadata';
import type { ImageChanges, MetadataImage, TopicImage } from '@barnabas/metadata';
import { BarnabasError, CONSUMER_OFFSETS_TOPIC, coordinatorPartition, toBarnabasError } from '@barnabas/protocol';
import { stateOf } from '../core/group/index.js';
import type { GroupSettings, GroupState } from '../core/group/index.js';
import { growingPauseMs } from '../runtime/growing-pause.js';
import type { GroupLog } from './group-log.js';
import type { GroupMetrics } from './group-metrics.js';
import type { OffsetsTopic } from './offsets-topic.js';
import { loadShard } from './shard-loader.js';
import { ShardRunner } from './shard-runner.js';

export interface GroupCoordinatorOptions {
  readonly nodeId: number;
  readonly settings: GroupSettings;
  /** offsets.commit.timeout.ms. */
  readonly commitTimeoutMs: number;
  readonly topic: OffsetsTopic;
  /** The log of a partition that this broker leads; rejects when it does not, or the log has failed. */
  readonly openLog: (partition: number) => Promise<GroupLog>;
  readonly image: () => MetadataImage;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly metrics: GroupMetrics;
  readonly onFault: (fault: Error) => void;
}

/** A shard, or why it cannot be asked now. */
export type RunningShard =
  | { readonly kind: 'active'; readonly runner: ShardRunner }
  | { readonly kind: 'none'; readonly error: BarnabasError };

/** Logs that are read at once: more would only wait for the same disk. */
const LOADS_AT_ONCE = 4;
/** Before a log that could not be read is read again. */
const PAUSE = { firstMs: 500, longestMs: 30_000 };

interface Shard {
  readonly topicId: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  /** Since when this broker leads, in monotonic milliseconds. */
  readonly since: number;
  /** Undefined while it is loading, or has failed. */
  runner: ShardRunner | undefined;
  failure: BarnabasError | undefined;
  attempt: number;
  retry: Timer | undefined;
  unlisten: () => void;
  isOver: boolean;
  /** Topics whose end was seen while it was loading. */
  readonly removed: Map<string, TopicImage>;
}

export class GroupCoordinator {
  readonly #shards = new Map<number, Shard>();
  /** Those that somebody has asked for come first. */
  readonly #toLoad: Shard[] = [];
  /** For the log. */
  readonly #loaded: { readonly groups: number; readonly ms: number }[] = [];
  #loads = 0;
  #isServing = false;
  #stopped: BarnabasError | undefined;

  constructor(private readonly options: GroupCoordinatorOptions) {
    options.metrics.sample({
      groups: (state) => this.#count(state),
      members: () => this.#sum(({ shard }) => membersOf(shard.groups())),
      loading: () => [...this.#shards.values()].filter(({ runner }) => runner === undefined).length,
      held: () => this.#sum(({ held }) => held),
    });
  }

  get nodeId(): number {
    return this.options.nodeId;
  }

  get settings(): GroupSettings {
    return this.options.settings;
  }

  get image(): MetadataImage {
    return this.options.image();
  }

  // --- which shards there are ---

  /** The broker serves: shards are loaded from now on. */
  begin(): void {
    if (this.#stopped !== undefined) return;
    this.#isServing = true;
    this.#follow();
  }

  /** After the replicas have heard of it. */
  metadataChanged(changes: ImageChanges): void {
    if (!this.#isServing) return;
    const isConcerned =
      changes.changedTopics.some(({ topic }) => topic.name === CONSUMER_OFFSETS_TOPIC) ||
      [...changes.removedTopics.values()].some(({ name }) => name === CONSUMER_OFFSETS_TOPIC);
    if (isConcerned) this.#follow();
    for (const { runner, removed } of this.#shards.values()) {
      if (runner !== undefined) runner.metadataChanged(changes);
      else for (const [id, topic] of changes.removedTopics) removed.set(id, topic);
    }
  }

  /** Refuses everything from now on, and answers what waits. */
  stop(error: BarnabasError): void {
    this.#stopped ??= error;
    this.#isServing = false;
    for (const shard of [...this.#shards.values()]) this.#drop(shard, error);
  }

  // --- whom to ask ---

  /** The shard of a group, once there is a topic for it. Rejects with NOT_COORDINATOR and those of the header. */
  async runnerFor(groupId: string): Promise<ShardRunner> {
    const topic = this.options.topic.image ?? (await this.options.topic.ensure());
    return this.#runner(topic, coordinatorPartition(groupId, topic.partitions.length));
  }

  /** Every shard here. */
  runners(): RunningShard[] {
    if (this.#stopped !== undefined) throw this.#stopped;
    return [...this.#shards.values()].map(({ runner, failure }) =>
      runner === undefined ? { kind: 'none', error: failure ?? loading() } : { kind: 'active', runner },
    );
  }

  /** Where groups are coordinated; made where it is missing. */
  topic(): Promise<TopicImage> {
    return this.options.topic.ensure();
  }

  #runner(topic: TopicImage, partition: number): ShardRunner {
    if (this.#stopped !== undefined) throw this.#stopped;
    const shard = this.#shards.get(partition);
    if (shard?.runner !== undefined) return shard.runner;
    if (shard !== undefined) {
      this.#hurry(shard);
      throw shard.failure ?? loading();
    }
    throw this.#elsewhere(topic, partition);
  }

  #hurry(shard: Shard): void {
    const at = this.#toLoad.indexOf(shard);
    if (at <= 0) return;
    this.#toLoad.splice(at, 1);
    this.#toLoad.unshift(shard);
  }

  #elsewhere(topic: TopicImage, partition: number): BarnabasError {
    const { leader = NO_LEADER, leaderEpoch = -1 } = topic.partitions[partition] ?? {};
    if (leader === NO_LEADER) {
      return new BarnabasError(
        'COORDINATOR_NOT_AVAILABLE',
        `partition ${partition} of ${CONSUMER_OFFSETS_TOPIC} has no leader now: wait and retry`,
        { partition },
      );
    }
    // The metadata names this broker, which has not taken it up yet, or has just failed to.
    if (leader === this.options.nodeId) return loading();
    return new BarnabasError(
      'NOT_COORDINATOR',
      `broker ${leader} coordinates this group (it leads partition ${partition} in epoch ${leaderEpoch}): ask it`,
      { partition, leader, leaderEpoch },
    );
  }

  // --- the lives of shards ---

  /** Brings the shards in step with the newest metadata. */
  #follow(): void {
    const topic = this.options.topic.image;
    const { nodeId, clock } = this.options;
    for (const shard of [...this.#shards.values()]) {
      const now = topic?.id === shard.topicId ? topic.partitions[shard.partition] : undefined;
      if (now?.leader === nodeId && now.leaderEpoch === shard.leaderEpoch) continue;
      this.#drop(shard, this.#moved(topic, shard.partition));
    }
    for (const [partition, { leader, leaderEpoch }] of (topic?.partitions ?? []).entries()) {
      if (leader !== nodeId || this.#shards.has(partition) || topic === undefined) continue;
      const shard: Shard = {
        ...{ topicId: topic.id, partition, leaderEpoch, since: clock.monotonic(), removed: new Map() },
        ...{ runner: undefined, failure: undefined, attempt: 0, retry: undefined, isOver: false },
        unlisten: () => {},
      };
      this.#shards.set(partition, shard);
      this.#toLoad.push(shard);
    }
    this.#loadMore();
  }

  #moved(topic: TopicImage | undefined, partition: number): BarnabasError {
    const { leader = NO_LEADER, leaderEpoch = -1 } = topic?.partitions[partition] ?? {};
    return new BarnabasError(
      'NOT_COORDINATOR',
      leader === NO_LEADER
        ? 'this broker does not coordinate the group any more, and nobody else does yet: retry'
        : `broker ${leader} coordinates this group from epoch ${leaderEpoch} on: ask it`,
      { partition, leader, leaderEpoch },
    );
  }

  #drop(shard: Shard, error: BarnabasError): void {
    if (this.#shards.get(shard.partition) === shard) this.#shards.delete(shard.partition);
    shard.isOver = true;
    shard.retry?.cancel();
    shard.unlisten();
    shard.runner?.stop(error);
  }

  #loadMore(): void {
    while (this.#loads < LOADS_AT_ONCE) {
      const shard = this.#toLoad.shift();
      if (shard === undefined) return;
      if (shard.isOver) continue;
      this.#loads += 1;
      this.#load(shard)
        .catch((error: unknown) => this.#failed(shard, error))
        .finally(() => {
          this.#loads -= 1;
          this.#loadMore();
          if (this.#loads === 0) this.#saySo();
        });
    }
  }

  async #load(shard: Shard): Promise<void> {
    const { openLog, settings, commitTimeoutMs, image, clock, timers, metrics, logger, onFault } = this.options;
    const log = await openLog(shard.partition);
    if (shard.isOver) return;
    shard.unlisten();
    shard.unlisten = log.listen({
      onHighWatermark: () => shard.runner?.advance(),
      onUnavailable: (error) => this.#unavailable(shard, error),
    });
    const loaded = await loadShard({ log, settings, clock, timers, isOver: () => shard.isOver });
    if (loaded === undefined || shard.isOver) return;
    shard.runner = new ShardRunner({
      ...{ shard: loaded, log, settings, commitTimeoutMs, image, clock, timers, metrics, onFault },
    });
    shard.failure = undefined;
    shard.runner.start(shard.removed);
    const ms = clock.monotonic() - shard.since;
    metrics.loaded(ms);
    const { partition, leaderEpoch } = shard;
    logger.debug('Has loaded groups', { partition, leaderEpoch, groups: loaded.size, end: log.logEndOffset, ms });
    this.#loaded.push({ groups: loaded.size, ms });
  }

  /** One line for all that a broker takes over at once. */
  #saySo(): void {
    const loaded = this.#loaded.splice(0);
    if (loaded.length === 0) return;
    const groups = loaded.reduce((sum, one) => sum + one.groups, 0);
    const longestMs = Math.round(Math.max(...loaded.map(({ ms }) => ms)));
    this.options.logger.info('Coordinates groups', { partitions: loaded.length, groups, longestMs });
  }

  /** The log says so before the metadata comes to this broker's shards; called from inside of the log's turn. */
  #unavailable(shard: Shard, cause: BarnabasError): void {
    const { partition } = shard;
    const { leader, leaderEpoch } = cause.facts ?? {};
    this.#drop(shard, new BarnabasError('NOT_COORDINATOR', cause.message, { partition, leader, leaderEpoch }));
  }

  #failed(shard: Shard, error: unknown): void {
    if (error instanceof InvariantError) {
      this.options.onFault(error);
      return;
    }
    if (shard.isOver) return;
    shard.attempt += 1;
    const pauseMs = growingPauseMs(PAUSE, shard.attempt);
    const cause = toBarnabasError(error);
    shard.failure = new BarnabasError(
      'COORDINATOR_NOT_AVAILABLE',
      `the coordinator could not read its log: ${cause.message}`,
      { partition: shard.partition },
      { cause },
    );
    this.options.logger.warn('The log of a group coordinator could not be read', {
      action: 'look at what it says; it is tried again',
      partition: shard.partition,
      leaderEpoch: shard.leaderEpoch,
      attempt: shard.attempt,
      pauseMs,
      error: cause,
    });
    shard.retry = this.options.timers.after(pauseMs, () => {
      this.#toLoad.push(shard);
      this.#loadMore();
    });
  }

  // --- counting ---

  #sum(of: (runner: ShardRunner) => number): number {
    let sum = 0;
    for (const { runner } of this.#shards.values()) if (runner !== undefined) sum += of(runner);
    return sum;
  }

  #count(state: GroupState): number {
    return this.#sum(({ shard }) => {
      let count = 0;
      for (const group of shard.groups()) if (stateOf(group) === state) count += 1;
      return count;
    });
  }
}

function membersOf(groups: Iterable<{ readonly members: { readonly size: number } }>): number {
  let members = 0;
  for (const group of groups) members += group.members.size;
  return members;
}

function loading(): BarnabasError {
  return new BarnabasError('COORDINATOR_LOAD_IN_PROGRESS', 'the coordinator is reading its log: wait and retry');
}
