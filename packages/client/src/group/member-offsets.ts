/**
 * Commits and fetched offsets of a member, at the epoch it has when they are sent; and the same for nobody's
 * member, a consumer that assigns its partitions itself.
 *
 * Invariants:
 *   O1  one commit is on its way: commits reach the coordinator in the order in which they were asked for
 *   O2  a commit is sent for the life of the member in which it was asked for, or not at all
 *   O3  a partition that is refused for a reason that may pass is tried again while there is time, without
 *       those that were not; one that is gone is not, so that nobody who gives it up waits for it
 */
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import { backoffMs, sleep } from '../cluster/backoff.js';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { partitionName } from '../records.js';
import type { TopicPartition } from '../records.js';
import { recoveryFrom } from './core/member-rules.js';
import type { GroupCalls } from './group-calls.js';
import type { CommitOutcome, FetchedOffset, MemberIdentity, OffsetOfMember } from './group-types.js';
import { commitRequest, fetchRequest, fromOutcome, fromWireOffset } from './group-wire.js';

export interface CommitOptions {
  /** With retries. Default default.api.timeout.ms. */
  readonly timeoutMs?: number;
}

export type PartitionToFetch = TopicPartition & { readonly topicId?: string };

export interface MemberPorts {
  /** Undefined while there is no member that could commit. */
  identity(): MemberIdentity | undefined;
  /** A heartbeat would explain a refusal: have it sent. */
  ask(): void;
}

/** Who commits where there is no member. */
const NOBODY: MemberIdentity = { memberId: '', memberEpoch: -1, incarnation: 0, instanceId: '', sessionTimeoutMs: 0 };
export const NOBODYS_MEMBER: MemberPorts = { identity: () => NOBODY, ask: () => undefined };

/** Before an epoch that proved old is looked at again. */
const RETRY_MS = 100;

export class MemberOffsets {
  readonly #router: ClusterRouter;
  readonly #calls: GroupCalls;
  readonly #ports: MemberPorts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(router: ClusterRouter, calls: GroupCalls, ports: MemberPorts) {
    this.#router = router;
    this.#calls = calls;
    this.#ports = ports;
  }

  /**
   * Behind every commit before. Resolves with what became of each offset, in order: UNKNOWN_TOPIC_ID and
   * UNKNOWN_TOPIC_OR_PARTITION where the topic has been deleted, or the coordinator had not heard of it when the
   * time was over. Rejects when nothing of it was done: UNKNOWN_MEMBER_ID and FENCED_MEMBER_EPOCH (the
   * membership is over), INVALID_REQUEST, and whatever lasts longer than the time given.
   */
  commit(offsets: readonly OffsetOfMember[], options: CommitOptions = {}): Promise<readonly CommitOutcome[]> {
    if (offsets.length === 0) return Promise.resolve([]);
    const { timeoutMs = this.#router.options.defaultApiTimeoutMs } = options;
    const asker = this.#ports.identity();
    const deadlineMs = this.#now() + timeoutMs;
    const attempt = (some: readonly OffsetOfMember[]) => this.#commitOnce(asker, deadlineMs, some);
    const run = this.#last.then(async () => this.#again(await attempt(offsets), offsets, deadlineMs, attempt));
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #commitOnce(
    asker: MemberIdentity | undefined,
    deadlineMs: number,
    offsets: readonly OffsetOfMember[],
  ): Promise<CommitOutcome[]> {
    const { results } = await this.#atEpoch(asker, deadlineMs, (identity, leftMs) => {
      const request = commitRequest(this.#calls.groupId, identity, offsets);
      return this.#calls.call((client, call) => client.commitOffsets(request, call), { timeoutMs: leftMs });
    });
    return offsets.map((offset, index) => fromOutcome(offset, results[index]));
  }

  /** Tries what may pass again, until nothing of it is left or the time is over. */
  async #again(
    outcomes: CommitOutcome[],
    offsets: readonly OffsetOfMember[],
    deadlineMs: number,
    attempt: (offsets: readonly OffsetOfMember[]) => Promise<CommitOutcome[]>,
  ): Promise<readonly CommitOutcome[]> {
    const { environment, options, view } = this.#router;
    const policy = { baseMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs };
    for (let failures = 1; ; failures++) {
      const refused = await this.#retriable(outcomes, offsets);
      if (refused.length === 0) return outcomes;
      const pauseMs = backoffMs(policy, failures, environment.random);
      if (this.#now() + pauseMs >= deadlineMs) return outcomes;
      view.requestRefresh();
      await sleep(environment.timers, pauseMs);
      const results = await attempt(refused.map((index) => offsets[index] as OffsetOfMember)).catch((thrown: unknown) =>
        refused.map((index) => ({ ...(outcomes[index] as CommitOutcome), error: toBarnabasError(thrown) })),
      );
      refused.forEach((index, at) => {
        outcomes[index] = results[at] as CommitOutcome;
      });
    }
  }

  /** Which of them to try again. Of those that are gone the outcome says so. */
  async #retriable(outcomes: CommitOutcome[], offsets: readonly OffsetOfMember[]): Promise<number[]> {
    const retriable: number[] = [];
    for (const [index, { topic, partition, error }] of outcomes.entries()) {
      if (error?.retriable !== true) continue;
      const offset = offsets[index] as OffsetOfMember;
      if (error.action !== 'refresh-metadata' || !(await this.#isGone(offset))) retriable.push(index);
      else outcomes[index] = { topic, partition, error: gone(error, offset) };
    }
    return retriable;
  }

  /**
   * The coordinator does not know the partition, and neither do we: it was deleted. If only the coordinator
   * does not, it is behind: topics that are just made, or grown, come to it later than to the member.
   */
  async #isGone({ topic, topicId = '', partition }: OffsetOfMember): Promise<boolean> {
    try {
      const options = { timeoutMs: RETRY_MS, allowAutoTopicCreation: false };
      const known = await this.#router.view.ensureTopic(topic, options);
      // Partitions of a topic that lives do not go: one that is missing has not been heard of yet, or never was there.
      return topicId === '' ? known.partitions[partition] === undefined : known.topicId !== topicId;
    } catch (thrown) {
      return toBarnabasError(thrown).errorName === 'UNKNOWN_TOPIC_OR_PARTITION';
    }
  }

  /** How far the group has read these, in order; refused to a member that has been fenced. */
  async fetch(
    partitions: readonly PartitionToFetch[],
    timeoutMs = this.#router.options.defaultApiTimeoutMs,
  ): Promise<readonly FetchedOffset[]> {
    if (partitions.length === 0) return [];
    const asker = this.#ports.identity();
    const { offsets } = await this.#atEpoch(asker, this.#now() + timeoutMs, (identity, leftMs) => {
      const request = fetchRequest(this.#calls.groupId, identity, partitions);
      return this.#calls.call((client, call) => client.fetchOffsets(request, call), { timeoutMs: leftMs });
    });
    return offsets.map(fromWireOffset);
  }

  /** Calls at the member's epoch; again where that has moved meanwhile. */
  async #atEpoch<T>(
    asker: MemberIdentity | undefined,
    deadlineMs: number,
    call: (identity: MemberIdentity, leftMs: number) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      const identity = this.#ports.identity();
      if (asker === undefined || identity === undefined || !isSameLife(asker, identity)) {
        throw notAMember(this.#calls.groupId);
      }
      try {
        return await call(identity, Math.max(1, deadlineMs - this.#now()));
      } catch (thrown) {
        const error = toBarnabasError(thrown);
        if (recoveryFrom(error) !== 'rejoin') throw error;
        this.#ports.ask();
        if (error.errorName !== 'STALE_MEMBER_EPOCH' || this.#now() + RETRY_MS >= deadlineMs) throw error;
        const now = this.#ports.identity();
        if (now?.memberEpoch === identity.memberEpoch) await sleep(this.#router.environment.timers, RETRY_MS);
      }
    }
  }

  #now(): number {
    return this.#router.environment.clock.monotonic();
  }
}

function isSameLife(one: MemberIdentity, other: MemberIdentity): boolean {
  return one.memberId === other.memberId && one.incarnation === other.incarnation;
}

function gone({ errorName }: BarnabasError, { topic, partition, offset }: OffsetOfMember): BarnabasError {
  return new BarnabasError(
    errorName,
    `there is no ${partitionName(topic, partition)}, or its topic was deleted: offset ${offset} of it is not committed`,
    { topic, partition },
  );
}

function notAMember(groupId: string): BarnabasError {
  return new BarnabasError(
    'UNKNOWN_MEMBER_ID',
    `this consumer is not a member of group ${groupId} now: its partitions are another's already, or will be, and what was not committed will be read again`,
    { groupId },
  );
}
