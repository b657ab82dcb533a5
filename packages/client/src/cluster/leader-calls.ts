/**
 * Unary calls that each leader answers for its own partitions: offsets, deletion of records. Splits
 * the entries by leader, asks all at once, and asks again where the failure passes.
 */
import { BarnabasError, errorFromProto, toBarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { CallOptions, Channel } from '@barnabas/rpc';
import { partitionName } from '../records.js';
import type { TopicPartition } from '../records.js';
import { backoffMs } from './backoff.js';
import type { Endpoint } from './broker-endpoints.js';
import type { ClusterRouter } from './cluster-router.js';
import { isUnreachable } from './node-pool.js';
import { whenNews } from './news.js';
import { ReportLimit } from './report-limit.js';

/** The wire's answer about one entry. */
interface EntryResult {
  readonly error?: v1.Error | undefined;
}

export interface LeaderCall<Entry extends TopicPartition, Result extends EntryResult> {
  readonly entries: readonly Entry[];
  /**
   * Answers in the order of the entries. `leaderEpochs` has the epoch in which each partition is believed
   * to be led there, for calls that carry it: a leader of the past refuses them.
   */
  readonly send: (
    channel: Channel,
    entries: Entry[],
    options: CallOptions,
    leaderEpochs: readonly number[],
  ) => Promise<readonly Result[]>;
  readonly timeoutMs: number;
}

/** What goes to one node in one round. */
interface LeaderGroup<Entry> {
  readonly endpoint: Endpoint;
  readonly entries: Entry[];
  readonly leaderEpochs: number[];
}

/** The answers, or what went wrong with each, in the order of the entries. */
export async function callLeaders<Entry extends TopicPartition, Result extends EntryResult>(
  router: ClusterRouter,
  call: LeaderCall<Entry, Result>,
): Promise<(Result | BarnabasError)[]> {
  const run = new LeaderCallRun(router, call);
  await run.ensureTopics();
  await run.askUntilDone();
  return call.entries.map((entry) => run.outcome(entry));
}

class LeaderCallRun<Entry extends TopicPartition, Result extends EntryResult> {
  readonly #router: ClusterRouter;
  readonly #call: LeaderCall<Entry, Result>;
  readonly #deadlineMs: number;
  readonly #open: Set<Entry>;
  /** The last answer of each; of those open, a failure that may pass. */
  readonly #outcomes = new Map<Entry, Result | BarnabasError>();
  readonly #reports: ReadonlyMap<Entry, ReportLimit>;

  constructor(router: ClusterRouter, call: LeaderCall<Entry, Result>) {
    this.#router = router;
    this.#call = call;
    this.#deadlineMs = this.#now() + call.timeoutMs;
    this.#open = new Set(call.entries);
    this.#reports = new Map(call.entries.map((entry) => [entry, new ReportLimit()]));
  }

  async ensureTopics(): Promise<void> {
    const { entries, timeoutMs } = this.#call;
    const ensure = async (topic: string): Promise<void> => {
      try {
        await this.#router.view.ensureTopic(topic, { timeoutMs, allowAutoTopicCreation: false });
      } catch (error) {
        for (const entry of entries) if (entry.topic === topic) this.#close(entry, toBarnabasError(error));
      }
    };
    await Promise.all([...new Set(entries.map(({ topic }) => topic))].map(ensure));
  }

  async askUntilDone(): Promise<void> {
    const { environment, options } = this.#router;
    const policy = { baseMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs };
    for (let rounds = 1; this.#open.size > 0; rounds++) {
      await this.#round();
      if (rounds > 1) this.#closeImpossible();
      const leftMs = this.#deadlineMs - this.#now();
      if (this.#open.size === 0 || leftMs <= 0) return;
      await whenNews(this.#router, Math.min(leftMs, backoffMs(policy, rounds, environment.random)));
    }
  }

  outcome(entry: Entry): Result | BarnabasError {
    return this.#outcomes.get(entry) ?? noLeader(entry);
  }

  async #round(): Promise<void> {
    const groups = new Map<string, LeaderGroup<Entry>>();
    for (const entry of this.#open) {
      const endpoint = this.#router.leader(entry.topic, entry.partition);
      if (endpoint === undefined) continue;
      const group = groups.get(endpoint.address) ?? { endpoint, entries: [], leaderEpochs: [] };
      groups.set(endpoint.address, group);
      group.entries.push(entry);
      group.leaderEpochs.push(endpoint.leaderEpoch);
    }
    await Promise.all([...groups.values()].map((group) => this.#ask(group)));
  }

  async #ask({ endpoint, entries, leaderEpochs }: LeaderGroup<Entry>): Promise<void> {
    const timeoutMs = Math.max(1, Math.min(this.#deadlineMs - this.#now(), this.#router.options.requestTimeoutMs));
    try {
      const channel = this.#router.channel(endpoint.address);
      const results = await this.#call.send(channel, entries, { timeoutMs }, leaderEpochs);
      this.#router.reportAnswer(endpoint);
      entries.forEach((entry, index) => this.#take(endpoint, entry, results[index]));
    } catch (thrown) {
      const error = toBarnabasError(thrown);
      if (isUnreachable(error)) this.#router.reportUnreachable(endpoint);
      for (const entry of entries) this.#fail(endpoint, entry, error);
    }
  }

  #take(endpoint: Endpoint, entry: Entry, result: Result | undefined): void {
    if (result === undefined) this.#close(entry, leftOut(entry));
    else if (result.error === undefined) this.#close(entry, result);
    else this.#fail(endpoint, entry, errorFromProto(result.error));
  }

  #fail(endpoint: Endpoint, entry: Entry, error: BarnabasError): void {
    this.#router.reportRefusal(endpoint, entry, error);
    if (this.#reports.get(entry)?.isFinal(error) === false) this.#outcomes.set(entry, error);
    else this.#close(entry, error);
  }

  /** A partition that the topic still does not have after metadata was asked for again. */
  #closeImpossible(): void {
    for (const entry of this.#open) {
      const count = this.#router.view.topic(entry.topic)?.partitions.length;
      if (count !== undefined && entry.partition >= count) this.#close(entry, noSuchPartition(entry, count));
    }
  }

  #close(entry: Entry, outcome: Result | BarnabasError): void {
    this.#open.delete(entry);
    this.#outcomes.set(entry, outcome);
  }

  #now(): number {
    return this.#router.environment.clock.monotonic();
  }
}

function leftOut({ topic, partition }: TopicPartition): BarnabasError {
  return new BarnabasError('UNKNOWN_SERVER_ERROR', `a node left ${partitionName(topic, partition)} out of its answer`);
}

/** The topic is known, and does not have the partition. */
export function noSuchPartition({ topic, partition }: TopicPartition, count: number): BarnabasError {
  return new BarnabasError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `topic ${topic} has ${count} partitions, so there is no partition ${partition}`,
    { topic, partition, count },
  );
}

function noLeader({ topic, partition }: TopicPartition): BarnabasError {
  return new BarnabasError('LEADER_NOT_AVAILABLE', `no leader of ${partitionName(topic, partition)} can be reached`, {
    topic,
    partition,
  });
}
