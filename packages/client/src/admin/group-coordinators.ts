/**
 * Calls about many groups to their coordinators: split by coordinator, tried again where the failure
 * passes, each group with an outcome of its own. For calls that may be sent twice.
 *
 * Does not make __consumer_offsets: while there is none, there are no groups.
 */
import { BarnabasError, CONSUMER_OFFSETS_TOPIC, coordinatorPartition, errorFromProto, v1 } from '@barnabas/protocol';
import type { CallOptions } from '@barnabas/rpc';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { callLeaders } from '../cluster/leader-calls.js';
import type { GroupClient } from '../group/group-calls.js';

/** Groups asked for in one request. */
const MAX_GROUPS = 500;

/** Partitions of __consumer_offsets; 0 while it does not exist. */
export async function offsetsPartitions(router: ClusterRouter, timeoutMs: number): Promise<number> {
  const known = router.view.topic(CONSUMER_OFFSETS_TOPIC);
  if (known !== undefined) return known.partitions.length;
  const request = { topics: [CONSUMER_OFFSETS_TOPIC], allowAutoTopicCreation: false, brokersOnly: false };
  const { topics } = await router.callAnyNode(
    (channel, call) => channel.client(v1.MetadataServiceDefinition).getMetadata(request, call),
    { timeoutMs },
  );
  const [topic] = topics;
  if (topic?.error === undefined) return topic?.partitions.length ?? 0;
  const error = errorFromProto(topic.error);
  if (error.errorName === 'UNKNOWN_TOPIC_OR_PARTITION') return 0;
  throw error;
}

interface GroupResult {
  readonly error?: v1.Error | undefined;
}

/** What becomes of each group, in order. */
export async function callCoordinators<Result extends GroupResult>(
  router: ClusterRouter,
  groupIds: readonly string[],
  timeoutMs: number,
  /** Answers in the order of the groups. */
  send: (client: GroupClient, groupIds: string[], options: CallOptions) => Promise<readonly Result[]>,
): Promise<(Result | BarnabasError)[]> {
  const count = await offsetsPartitions(router, timeoutMs);
  if (count === 0) return groupIds.map(noSuchGroup);
  const entries = groupIds.map((groupId) => ({
    topic: CONSUMER_OFFSETS_TOPIC,
    partition: coordinatorPartition(groupId, count),
    groupId,
  }));
  const chunks = Array.from({ length: Math.ceil(entries.length / MAX_GROUPS) }, (_, index) =>
    entries.slice(index * MAX_GROUPS, (index + 1) * MAX_GROUPS),
  );
  const outcomes = chunks.map((chunk) =>
    callLeaders<(typeof entries)[number], Result>(router, {
      entries: chunk,
      timeoutMs,
      send: (channel, asked, options) =>
        send(
          channel.client(v1.GroupServiceDefinition),
          asked.map(({ groupId }) => groupId),
          options,
        ),
    }),
  );
  return (await Promise.all(outcomes)).flat();
}

function noSuchGroup(groupId: string): BarnabasError {
  return new BarnabasError('GROUP_ID_NOT_FOUND', `there is no group ${groupId}`, { groupId });
}
