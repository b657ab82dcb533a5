/**
 * barnabas.v1.AdminService, the same on brokers and gateways: what concerns the cluster goes to the
 * active controller, and the answer to a change waits until this node's own image shows it, so that a
 * client that goes on at the same node finds what it has just made. The rest is told by who knows it:
 *   configurations   describe-configs.ts
 *   replicas         describe-replicas.ts
 * Errors of what is passed on are the controller's, or ControllerClient's where none answers.
 */
import { v1 } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { CallContext, Handlers, ServiceRegistration } from '@barnabas/rpc';
import type { ControllerCallOptions, ControllerClient } from '../follower/controller-client.js';
import { describeConfigs } from './describe-configs.js';
import type { DescribeConfigsOptions } from './describe-configs.js';
import { describeReplicas } from './describe-replicas.js';
import type { DescribeReplicasOptions } from './describe-replicas.js';
import { DEFAULT_TIMEOUT_MS } from './forwarding.js';

/** What the active controller does for a node. */
export type AdminController = Pick<
  ControllerClient,
  | 'createTopics'
  | 'deleteTopics'
  | 'createPartitions'
  | 'incrementalAlterConfigs'
  | 'alterPartitionReassignments'
  | 'listPartitionReassignments'
  | 'electLeaders'
  | 'decommissionBroker'
  | 'unregisterBroker'
  | 'describeQuorumMembers'
  | 'addVoter'
  | 'removeVoter'
  | 'transferQuorumLeadership'
  | 'describeFeatures'
  | 'updateFeatures'
>;

export interface AdminForwarderOptions extends DescribeConfigsOptions, DescribeReplicasOptions {
  readonly controller: AdminController;
}

/** Until a change must have come down to this node; after that the answer is given all the same. */
const APPEARANCE_TIMEOUT_MS = 5_000;

export function adminForwarder(options: AdminForwarderOptions): ServiceRegistration {
  const { source, controller } = options;
  const shown = async <R extends { metadataOffset: number }>(answer: Promise<R>): Promise<R> => {
    const response = await answer;
    await source.waitFor((image) => image.offset >= response.metadataOffset, APPEARANCE_TIMEOUT_MS);
    return response;
  };
  const handlers: Handlers<typeof v1.AdminServiceDefinition> = {
    createTopics: (request, context) => shown(controller.createTopics(request, timed(request, context))),
    deleteTopics: (request, context) => shown(controller.deleteTopics(request, timed(request, context))),
    createPartitions: (request, context) => shown(controller.createPartitions(request, timed(request, context))),
    incrementalAlterConfigs: (request, context) => shown(controller.incrementalAlterConfigs(request, untimed(context))),
    alterPartitionReassignments: (request, context) =>
      shown(controller.alterPartitionReassignments(request, timed(request, context))),
    electLeaders: (request, context) => shown(controller.electLeaders(request, timed(request, context))),
    decommissionBroker: (request, context) => shown(controller.decommissionBroker(request, timed(request, context))),
    unregisterBroker: (request, context) => shown(controller.unregisterBroker(request, timed(request, context))),
    updateFeatures: (request, context) => shown(controller.updateFeatures(request, timed(request, context))),
    addVoter: (request, context) => controller.addVoter(request, timed(request, context)),
    removeVoter: (request, context) => controller.removeVoter(request, timed(request, context)),
    transferQuorumLeadership: (request, context) =>
      controller.transferQuorumLeadership(request, timed(request, context)),
    listPartitionReassignments: (request, context) => controller.listPartitionReassignments(request, untimed(context)),
    describeQuorum: (request, context) => controller.describeQuorumMembers(request, untimed(context)),
    describeFeatures: (request, context) => controller.describeFeatures(request, untimed(context)),
    describeConfigs: (request, context) => describeConfigs(options, request, context),
    describeReplicas: (request, context) => describeReplicas(options, request, context),
  };
  return service(v1.AdminServiceDefinition, handlers);
}

/** As long as the request says, and no longer than its caller waits. */
function timed({ timeoutMs }: { readonly timeoutMs: number }, context: CallContext): ControllerCallOptions {
  const asked = timeoutMs > 0 ? timeoutMs : DEFAULT_TIMEOUT_MS;
  return { timeoutMs: Math.min(asked, context.timeoutMs ?? asked), signal: context.signal };
}

/** For requests that do not say how long. */
function untimed(context: CallContext): ControllerCallOptions {
  return timed({ timeoutMs: 0 }, context);
}
