/**
 * The unary calls of GroupService on a gateway: each goes to the coordinator of its group, and again where
 * the failure passes, within the caller's time.
 *
 *   one group            ConsumerGroupHeartbeat, CommitOffsets, FetchOffsets, DeleteOffsets
 *   several groups       DescribeGroups, DeleteGroups: each group at its own coordinator, all at once
 *   all groups           ListGroups: all brokers that serve; those that do not answer are in `errors`
 *   whoever answers      FindCoordinator
 *
 * What a coordinator refuses travels as it does at a broker: in `error` of the answer, or of the group.
 * The calls fail with INVALID_REQUEST (too many groups) alone.
 */
import { GroupCalls } from '@barnabas/client';
import type { ClusterRouter, GroupCallOptions, GroupClient } from '@barnabas/client';
import { BarnabasError, errorFromProto, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import { peerHost } from '@barnabas/rpc';
import type { CallContext, CallOptions, Handlers } from '@barnabas/rpc';
import { timeToTry } from '../handlers/deadline.js';

export interface GroupRequestParts {
  readonly router: ClusterRouter;
}

type Context = Pick<CallContext, 'timeoutMs' | 'signal' | 'peer'>;
type UnaryMethods = Omit<Handlers<typeof v1.GroupServiceDefinition>, 'subscribe'>;

const MAX_GROUPS = 10_000;

export function groupRequests({ router }: GroupRequestParts): UnaryMethods {
  return {
    consumerGroupHeartbeat: (request, context) => {
      // To the coordinator the gateway is the peer. A member is described when it joins.
      const { clientHost = request.memberEpoch === 0 ? peerHost(context.peer) : undefined } = request;
      const located = { ...request, clientHost };
      return ask(router, request.groupId, context, emptyHeartbeat, (client, options) =>
        client.consumerGroupHeartbeat(located, options),
      );
    },
    commitOffsets: (request, context) =>
      ask(router, request.groupId, context, emptyResults, (client, options) => client.commitOffsets(request, options)),
    fetchOffsets: (request, context) =>
      ask(router, request.groupId, context, emptyOffsets, (client, options) => client.fetchOffsets(request, options)),
    deleteOffsets: (request, context) =>
      ask(router, request.groupId, context, emptyResults, (client, options) => client.deleteOffsets(request, options)),
    listGroups: (request, context) => listGroups(router, request, context),
    describeGroups: (request, context) => describeGroups(router, request, context),
    deleteGroups: (request, context) => deleteGroups(router, request, context),
    findCoordinator: (request, context) =>
      router.callAnyNode((node, options) => node.client(v1.GroupServiceDefinition).findCoordinator(request, options), {
        timeoutMs: timeToTry(context),
      }),
  };
}

interface Refusable {
  readonly error?: v1.Error | undefined;
}

/** One call to the coordinator of one group; a refusal is an answer. */
async function ask<T extends Refusable>(
  router: ClusterRouter,
  groupId: string,
  context: Context,
  refused: (error: v1.Error) => T,
  send: (client: GroupClient, options: CallOptions) => Promise<T>,
): Promise<T> {
  try {
    return await new GroupCalls(router, groupId).call(send, optionsOf(context));
  } catch (error) {
    return refused(errorToProto(toBarnabasError(error)));
  }
}

function optionsOf(context: Context): GroupCallOptions {
  return { timeoutMs: timeToTry(context), signal: context.signal };
}

async function describeGroups(
  router: ClusterRouter,
  { groupIds }: v1.DescribeGroupsRequest,
  context: Context,
): Promise<v1.DescribeGroupsResponse> {
  checkCount(groupIds);
  return { groups: await Promise.all(groupIds.map((groupId) => describeGroup(router, groupId, context))) };
}

async function describeGroup(router: ClusterRouter, groupId: string, context: Context): Promise<v1.DescribedGroup> {
  let group = v1.DescribedGroup.create({ groupId, coordinatorId: -1 });
  const { error } = await ask<Refusable>(
    router,
    groupId,
    context,
    (refusal) => ({ error: refusal }),
    async (client, options) => {
      const { groups } = await client.describeGroups({ groupIds: [groupId] }, options);
      group = groups[0] ?? group;
      // The group's error becomes the call's, so that one that passes is tried again.
      return { error: group.error };
    },
  );
  return { ...group, error };
}

async function deleteGroups(
  router: ClusterRouter,
  { groupIds }: v1.DeleteGroupsRequest,
  context: Context,
): Promise<v1.DeleteGroupsResponse> {
  checkCount(groupIds);
  const results = await Promise.all(
    groupIds.map(async (groupId) => {
      const { error } = await ask<Refusable>(
        router,
        groupId,
        context,
        (refusal) => ({ error: refusal }),
        async (client, options) => {
          const { results: deleted } = await client.deleteGroups({ groupIds: [groupId] }, options);
          return { error: deleted[0]?.error };
        },
      );
      return { groupId, error };
    }),
  );
  return { results };
}

/** Groups move with their coordinators: one that is met twice is of the later answer. */
async function listGroups(
  router: ClusterRouter,
  request: v1.ListGroupsRequest,
  context: Context,
): Promise<v1.ListGroupsResponse> {
  const timeoutMs = timeToTry(context);
  const brokers = [...router.view.brokers.values()].filter(({ fenced }) => !fenced);
  const answers = await Promise.all(
    brokers.map(async ({ id, address }): Promise<v1.ListGroupsResponse> => {
      try {
        const client = router.channel(address).client(v1.GroupServiceDefinition);
        return await client.listGroups(request, { timeoutMs, signal: context.signal });
      } catch (thrown) {
        const error = toBarnabasError(thrown);
        // What all of them would say is the caller's.
        if (error.errorName === 'INVALID_REQUEST') throw error;
        return { groups: [], errors: [errorToProto(unanswered(id, error))] };
      }
    }),
  );
  const groups = new Map(answers.flatMap((answer) => answer.groups).map((group) => [group.groupId, group]));
  return {
    groups: [...groups.values()].sort((one, other) => (one.groupId < other.groupId ? -1 : 1)),
    errors: answers.flatMap(({ errors }) => errors.filter(isNews)),
  };
}

/** A shard that has just moved is listed by the broker that has it now. */
function isNews(error: v1.Error): boolean {
  return errorFromProto(error).errorName !== 'NOT_COORDINATOR';
}

function unanswered(brokerId: number, error: BarnabasError): BarnabasError {
  return new BarnabasError(
    error.errorName,
    `broker ${brokerId}, and the groups that it coordinates: ${error.message}`,
    {
      brokerId,
    },
  );
}

function checkCount(groupIds: readonly string[]): void {
  if (groupIds.length >= 1 && groupIds.length <= MAX_GROUPS) return;
  throw new BarnabasError(
    'INVALID_REQUEST',
    `a request names from 1 to ${MAX_GROUPS} groups, not ${groupIds.length}: use several`,
  );
}

function emptyHeartbeat(error: v1.Error): v1.ConsumerGroupHeartbeatResponse {
  return v1.ConsumerGroupHeartbeatResponse.create({ error });
}

function emptyResults(error: v1.Error): { results: v1.CommittedOffsetResult[]; error: v1.Error } {
  return { results: [], error };
}

function emptyOffsets(error: v1.Error): v1.FetchOffsetsResponse {
  return { offsets: [], error };
}
