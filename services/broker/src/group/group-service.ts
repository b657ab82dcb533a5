/** barnabas.v1.GroupService of a broker: one handler file for each call, put together here. */
import type { InvariantError } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { Handlers, ServiceRegistration } from '@barnabas/rpc';
import { ServedGroupService } from '@barnabas/subscribe';
import type { GroupCoordinator } from './group-coordinator.js';
import { commitOffsets } from './handlers/commit-offsets.js';
import { consumerGroupHeartbeat } from './handlers/consumer-group-heartbeat.js';
import { deleteGroups } from './handlers/delete-groups.js';
import { deleteOffsets } from './handlers/delete-offsets.js';
import { describeGroups } from './handlers/describe-groups.js';
import { fetchOffsets } from './handlers/fetch-offsets.js';
import { findCoordinator } from './handlers/find-coordinator.js';
import { listGroups } from './handlers/list-groups.js';

/** The streams of members; see docs/protocols/groups.md, section 8. */
export type SubscribeHandler = Handlers<typeof ServedGroupService>['subscribe'];

/**
 * `coordinator` gives undefined before the broker has registered and been unfenced, and once it stops.
 * Members' streams need no coordinator here: `subscribe` finds theirs.
 */
export function groupService(
  coordinator: () => GroupCoordinator | undefined,
  onFault: (fault: InvariantError) => void,
  subscribe: SubscribeHandler,
): ServiceRegistration {
  const now = (): GroupCoordinator => {
    const current = coordinator();
    if (current !== undefined) return current;
    throw new BarnabasError(
      'BROKER_NOT_AVAILABLE',
      'the broker is starting or stopping: wait and retry, or ask another',
    );
  };
  const handlers: Handlers<typeof ServedGroupService> = {
    subscribe,
    consumerGroupHeartbeat: async (request, context) => consumerGroupHeartbeat(request, now(), context),
    commitOffsets: async (request) => commitOffsets(request, now()),
    fetchOffsets: async (request) => fetchOffsets(request, now()),
    deleteOffsets: async (request) => deleteOffsets(request, now()),
    listGroups: async (request) => listGroups(request, now()),
    describeGroups: async (request) => describeGroups(request, now()),
    deleteGroups: async (request) => deleteGroups(request, now()),
    findCoordinator: async (request) => findCoordinator(request, now()),
  };
  return service(ServedGroupService, handlers, onFault);
}
