/**
 * Partitions on their way from the coordinator to the application: each waits here until it is known how far
 * the group has read it.
 *
 * Invariants:
 *   A1  a partition arrives once, and only while it is owned: one that is revoked or lost before its offset
 *       was known is never heard of
 *   A2  but what a resumed application works on already is known to it, also before it has arrived
 *   A3  after `stop` nothing arrives, and nothing fails
 */
import type { Timers } from '@barnabas/common';
import { toBarnabasError } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import { sleep } from '../cluster/backoff.js';
import { partitionName } from '../records.js';
import type { TopicPartition } from '../records.js';
import { recoveryFrom } from './core/member-rules.js';
import { groupPartitionKey } from './group-types.js';
import type { FetchedOffset, GroupTopicPartition } from './group-types.js';

export interface ArrivalsPorts {
  fetch(partitions: readonly GroupTopicPartition[]): Promise<readonly FetchedOffset[]>;
  /** And how far each has been read, in the same order. */
  onArrived(partitions: readonly GroupTopicPartition[], committed: readonly FetchedOffset[]): void;
  /** Offsets are refused for a reason that does not pass: the membership cannot go on. */
  onFailed(error: BarnabasError): void;
}

/** Between two attempts to fetch the offsets of what has been given. */
const RETRY_MS = 100;

export class Arrivals {
  readonly #timers: Timers;
  readonly #ports: ArrivalsPorts;
  /** Given, but their offsets are not known yet. */
  readonly #arriving = new Map<string, GroupTopicPartition>();
  /** The application works on these already. */
  readonly #resumed: Set<string>;
  #isStopped = false;

  constructor(timers: Timers, resumed: readonly TopicPartition[], ports: ArrivalsPorts) {
    this.#timers = timers;
    this.#ports = ports;
    this.#resumed = new Set(resumed.map(({ topic, partition }) => partitionName(topic, partition)));
  }

  /** These are the member's from now on. */
  expect(partitions: readonly GroupTopicPartition[]): void {
    for (const partition of partitions) this.#arriving.set(groupPartitionKey(partition), partition);
    void this.#bring(partitions);
  }

  /** These are asked back: which of them the application knows of. */
  revoked(partitions: readonly GroupTopicPartition[]): {
    readonly known: readonly GroupTopicPartition[];
    readonly unheardOf: readonly GroupTopicPartition[];
  } {
    const arriving = partitions.filter((one) => this.#arriving.delete(groupPartitionKey(one)));
    const unheardOf = arriving.filter((one) => !this.#isResumed(one));
    return { known: partitions.filter((one) => !unheardOf.includes(one)), unheardOf };
  }

  /** Everything is lost: what the application knows of it. */
  lost(partitions: readonly GroupTopicPartition[]): readonly GroupTopicPartition[] {
    const known = partitions.filter((one) => !this.#arriving.has(groupPartitionKey(one)) || this.#isResumed(one));
    this.#arriving.clear();
    this.#resumed.clear();
    return known;
  }

  stop(): void {
    this.#isStopped = true;
    this.#arriving.clear();
  }

  /** Fetches the committed offsets of what has been given, for as long as it is owned. */
  async #bring(partitions: readonly GroupTopicPartition[]): Promise<void> {
    for (;;) {
      const wanted = partitions.filter((one) => this.#arriving.get(groupPartitionKey(one)) === one);
      if (wanted.length === 0 || this.#isStopped) return;
      const known = await this.#fetchFor(wanted);
      if (known.length === wanted.length) return;
      // What is left may pass; or its heartbeat brings that it is lost.
      await sleep(this.#timers, RETRY_MS);
    }
  }

  /** Hands over what could be fetched, and says which that was. */
  async #fetchFor(wanted: readonly GroupTopicPartition[]): Promise<readonly FetchedOffset[]> {
    try {
      const fetched = await this.#ports.fetch(wanted);
      const known = fetched.filter(({ error }) => error?.retriable !== true);
      const arrived = known.filter((one) => this.#arriving.delete(groupPartitionKey(one)));
      for (const { topic, partition } of arrived) this.#resumed.delete(partitionName(topic, partition));
      if (arrived.length > 0 && !this.#isStopped) this.#ports.onArrived(arrived.map(toPartition), arrived);
      return known;
    } catch (thrown) {
      const error = toBarnabasError(thrown);
      if (!error.retriable && recoveryFrom(error) === 'end' && !this.#isStopped) this.#ports.onFailed(error);
      return [];
    }
  }

  #isResumed({ topic, partition }: TopicPartition): boolean {
    return this.#resumed.has(partitionName(topic, partition));
  }
}

function toPartition({ topic, topicId, partition }: GroupTopicPartition): GroupTopicPartition {
  return { topic, topicId, partition };
}
