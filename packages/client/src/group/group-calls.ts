/**
 * Calls about one group to its coordinator: the leader of the group's partition of __consumer_offsets.
 * Finds it in what is known of the cluster; where the topic is not known yet, any node is asked, which
 * makes it. Follows a coordinator that moves, also while an attempt is under way, and tries again what may
 * pass, until the time is over.
 *
 * Every call may be sent twice: heartbeats and commits are ordered by what they carry.
 */
import {
  BarnabasError,
  CONSUMER_OFFSETS_TOPIC,
  coordinatorPartition,
  errorFromProto,
  toBarnabasError,
  v1,
} from '@barnabas/protocol';
import type { CallOptions, ServiceClient } from '@barnabas/rpc';
import { backoffMs, sleep } from '../cluster/backoff.js';
import type { ClusterRouter, LeaderEndpoint } from '../cluster/cluster-router.js';
import { isUnreachable } from '../cluster/node-pool.js';
import type { TopicPartition } from '../records.js';

export type GroupClient = ServiceClient<typeof v1.GroupServiceDefinition>;

/** An answer of GroupService that may say that the whole request was refused. */
interface GroupAnswer {
  readonly error?: v1.Error | undefined;
}

export interface GroupCallOptions {
  /** With its retries. Default default.api.timeout.ms. */
  readonly timeoutMs?: number;
  /** For one attempt. Default request.timeout.ms. */
  readonly attemptTimeoutMs?: number;
  /** Ends the call; it rejects with REQUEST_TIMED_OUT. */
  readonly signal?: AbortSignal;
}

export class GroupCalls {
  readonly groupId: string;
  readonly #router: ClusterRouter;

  constructor(router: ClusterRouter, groupId: string) {
    this.#router = router;
    this.groupId = groupId;
  }

  /** Sends to the coordinator until it answers, refuses for good, or the time is over; rejects with the last failure. */
  async call<T extends GroupAnswer>(
    send: (client: GroupClient, options: CallOptions) => Promise<T>,
    options: GroupCallOptions = {},
  ): Promise<T> {
    const { environment, options: connection } = this.#router;
    const { timeoutMs = connection.defaultApiTimeoutMs, signal } = options;
    const deadlineMs = this.#now() + timeoutMs;
    const policy = { baseMs: connection.retryBackoffMs, maxMs: connection.retryBackoffMaxMs };
    for (let failures = 1; ; failures++) {
      if (isAborted(signal)) throw broken(this.groupId);
      const result = await this.#attempt(send, deadlineMs, options);
      if (!(result instanceof BarnabasError)) return result;
      const leftMs = deadlineMs - this.#now();
      if (!result.retriable || leftMs <= 0 || isAborted(signal)) throw result;
      await this.#pause(Math.min(leftMs, backoffMs(policy, failures, environment.random)), signal);
    }
  }

  async #attempt<T extends GroupAnswer>(
    send: (client: GroupClient, options: CallOptions) => Promise<T>,
    deadlineMs: number,
    { attemptTimeoutMs = this.#router.options.requestTimeoutMs, signal }: GroupCallOptions,
  ): Promise<T | BarnabasError> {
    let place: TopicPartition | undefined;
    let endpoint: LeaderEndpoint | undefined;
    try {
      place = await this.#place(deadlineMs);
      endpoint = this.#router.leader(place.topic, place.partition);
      if (endpoint === undefined) throw noCoordinator(this.groupId, place);
      const timeoutMs = Math.max(1, Math.min(deadlineMs - this.#now(), attemptTimeoutMs));
      const answer = await this.#send(send, place, endpoint, { timeoutMs, ...(signal && { signal }) });
      this.#router.reportAnswer(endpoint);
      if (answer.error === undefined) return answer;
      const refusal = errorFromProto(answer.error);
      this.#router.reportRefusal(endpoint, place, refusal);
      return refusal;
    } catch (thrown) {
      const error = toBarnabasError(thrown);
      if (endpoint === undefined || place === undefined || isAborted(signal)) return error;
      if (isUnreachable(error)) this.#router.reportUnreachable(endpoint);
      else this.#router.reportRefusal(endpoint, place, error);
      return error;
    }
  }

  /** Gives up an attempt at a coordinator that has been succeeded: it may be cut off and never answer. */
  async #send<T>(
    send: (client: GroupClient, options: CallOptions) => Promise<T>,
    { topic, partition }: TopicPartition,
    endpoint: LeaderEndpoint,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<T> {
    const abort = new AbortController();
    const onAbort = (): void => abort.abort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const stop = this.#router.onChange(() => {
      const known = this.#router.view.topic(topic)?.partitions[partition];
      if (known !== undefined && known.leaderEpoch > endpoint.leaderEpoch) abort.abort();
    });
    try {
      const client = this.#router.channel(endpoint.address).client(v1.GroupServiceDefinition);
      return await send(client, { timeoutMs, signal: abort.signal });
    } catch (thrown) {
      if (isAborted(abort.signal) && !isAborted(signal)) throw succeeded(this.groupId);
      throw thrown;
    } finally {
      stop();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** The group's partition of __consumer_offsets; makes the topic where it is not there yet. */
  async #place(deadlineMs: number): Promise<TopicPartition> {
    const { view } = this.#router;
    const timeoutMs = Math.max(1, deadlineMs - this.#now());
    if (view.topic(CONSUMER_OFFSETS_TOPIC) === undefined) await this.#find(timeoutMs);
    const topic = await view.ensureTopic(CONSUMER_OFFSETS_TOPIC, { timeoutMs, allowAutoTopicCreation: false });
    return { topic: CONSUMER_OFFSETS_TOPIC, partition: coordinatorPartition(this.groupId, topic.partitions.length) };
  }

  async #find(timeoutMs: number): Promise<void> {
    const request = { groupIds: [this.groupId] };
    const { coordinators } = await this.#router.callAnyNode(
      (channel, options) => channel.client(v1.GroupServiceDefinition).findCoordinator(request, options),
      { timeoutMs },
    );
    const refusal = coordinators[0]?.error;
    // The topic is there, or is being made: metadata tells of it. Anything else is the caller's.
    if (refusal !== undefined && !errorFromProto(refusal).retriable) throw errorFromProto(refusal);
  }

  /** A while, or until more is known of the cluster. */
  async #pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
    let stop = (): void => undefined;
    const woken = new Promise<void>((resolve) => {
      const stopListening = this.#router.onChange(resolve);
      const onAbort = (): void => resolve();
      signal?.addEventListener('abort', onAbort, { once: true });
      stop = () => {
        stopListening();
        signal?.removeEventListener('abort', onAbort);
      };
    });
    await Promise.race([sleep(this.#router.environment.timers, delayMs), woken]);
    stop();
  }

  #now(): number {
    return this.#router.environment.clock.monotonic();
  }
}

/** It may have been aborted since it was looked at last. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function noCoordinator(groupId: string, { topic, partition }: TopicPartition): BarnabasError {
  return new BarnabasError(
    'COORDINATOR_NOT_AVAILABLE',
    `the coordinator of group ${groupId}, the leader of ${topic}-${partition}, cannot be reached`,
    { groupId, partition },
  );
}

function succeeded(groupId: string): BarnabasError {
  return new BarnabasError('NOT_COORDINATOR', `the coordinator of group ${groupId} has been succeeded`, { groupId });
}

function broken(groupId: string): BarnabasError {
  return new BarnabasError('REQUEST_TIMED_OUT', `the call to the coordinator of group ${groupId} was given up`, {
    groupId,
  });
}
