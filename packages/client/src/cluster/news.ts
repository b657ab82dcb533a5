/** Waiting for what a client knows of its cluster to change. */
import type { TopicPartition } from '../records.js';
import { backoffMs, sleep } from './backoff.js';
import type { ClusterRouter } from './cluster-router.js';

/** Resolves when the router knows more, or after `delayMs`. */
export async function whenNews(router: ClusterRouter, delayMs: number): Promise<void> {
  let stop: () => void = () => undefined;
  const changed = new Promise<void>((resolve) => {
    stop = router.onChange(resolve);
  });
  await Promise.race([sleep(router.environment.timers, delayMs), changed]);
  stop();
}

export interface PartitionWait {
  readonly timeoutMs: number;
  readonly isWanted: () => boolean;
}

/**
 * Waits until the topic is known to have the partition, of which somebody who must know has said so: the
 * brokers that are asked here may hear of new partitions later than the coordinator of a group. Resolves to
 * whether it has; false when the time is up, or it is not wanted any more. Rejects with what
 * ClusterView.ensureTopic rejects with.
 */
export async function whenPartitionKnown(
  router: ClusterRouter,
  { topic, partition }: TopicPartition,
  { timeoutMs, isWanted }: PartitionWait,
): Promise<boolean> {
  const { view, environment, options } = router;
  const isKnown = (): boolean => partition < (view.topic(topic)?.partitions.length ?? 0);
  if (isKnown()) return true;
  const deadlineMs = environment.clock.monotonic() + timeoutMs;
  await view.ensureTopic(topic, { timeoutMs, allowAutoTopicCreation: false });
  const policy = { baseMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs };
  for (let rounds = 1; !isKnown(); rounds++) {
    const leftMs = deadlineMs - environment.clock.monotonic();
    if (leftMs <= 0 || !isWanted()) return false;
    view.requestRefresh();
    await whenNews(router, Math.min(leftMs, backoffMs(policy, rounds, environment.random)));
  }
  return true;
}
