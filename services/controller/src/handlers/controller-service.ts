/**
 * barnabas.internal.v1.ControllerService.
 *
 * All but FollowMetadata and DescribeQuorum answer NOT_CONTROLLER, with the active controller in the
 * message, when this one is not active. Other errors: core/cluster-control.ts for RegisterBroker and
 * BrokerHeartbeat, core/producer-id-control.ts for AllocateProducerIds, core/topic-control.ts for
 * AutoCreateTopics and CreateInternalTopic (each topic's own), core/isr-control.ts for AlterPartition (each partition's own) and
 * ReportOfflineReplicas, runtime/metadata-feeds.ts for FollowMetadata.
 */
import { announcedFeatures } from '@barnabas/metadata';
import { internal } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { CallContext, Handlers, ServiceRegistration } from '@barnabas/rpc';
import { allocateProducerIds, alterPartitions, reportOffline } from '../core/index.js';
import type { ControllerRuntime } from '../runtime/controller-runtime.js';
import { timeoutOf } from './deadline.js';

export function controllerService(runtime: ControllerRuntime): ServiceRegistration {
  const handlers: Handlers<typeof internal.ControllerServiceDefinition> = {
    registerBroker: (request, context) => registerBroker(runtime, request, context),
    brokerHeartbeat: (request, context) => brokerHeartbeat(runtime, request, context),
    allocateProducerIds: ({ brokerId, brokerEpoch }, context) =>
      runtime.submit(
        (image) => allocateProducerIds(image, runtime.cluster.registered(image, brokerId, brokerEpoch)),
        timeoutOf(context),
      ),
    autoCreateTopics: async ({ names }, context) => {
      const results = await runtime.submit(
        (image) => runtime.topics.autoCreateTopics(image, names),
        timeoutOf(context),
      );
      return { results, metadataOffset: runtime.timeline.committed.offset };
    },
    createInternalTopic: async (request, context) => {
      const outcome = await runtime.submit(
        (image) => runtime.topics.createInternalTopic(image, request),
        timeoutOf(context),
      );
      return { ...outcome, metadataOffset: runtime.timeline.committed.offset };
    },
    alterPartition: (request, context) => alterPartition(runtime, request, context),
    reportOfflineReplicas: (request, context) => reportOfflineReplicas(runtime, request, context),
    describeQuorum: async () => describeQuorum(runtime),
    followMetadata: (request, stream) => runtime.feeds.add(request, stream),
  };
  return service(internal.ControllerServiceDefinition, handlers);
}

async function registerBroker(
  runtime: ControllerRuntime,
  request: internal.RegisterBrokerRequest,
  context: CallContext,
): Promise<internal.RegisterBrokerResponse> {
  const response = await runtime.submit(
    (image) => runtime.cluster.register(image, request, runtime.now()),
    timeoutOf(context),
  );
  runtime.sessions.heard({ id: request.brokerId, epoch: response.brokerEpoch }, 0, runtime.now());
  return response;
}

async function brokerHeartbeat(
  runtime: ControllerRuntime,
  request: internal.BrokerHeartbeatRequest,
  context: CallContext,
): Promise<internal.BrokerHeartbeatResponse> {
  runtime.checkActive();
  const now = runtime.now();
  const image = runtime.timeline.latest;
  const broker = runtime.cluster.registered(image, request.brokerId, request.brokerEpoch);
  // Counts from its arrival, however long the answer takes.
  runtime.sessions.heard(broker, request.metadataOffset, now);
  if (request.wantShutDown && broker.inControlledShutdown) runtime.sessions.shutsDownAt(broker, image.offset, now);
  const response = await runtime.submit(
    (latest) => runtime.cluster.heartbeat(latest, request, runtime.now()),
    timeoutOf(context),
  );
  runtime.watchSessions();
  return response;
}

async function alterPartition(
  runtime: ControllerRuntime,
  { brokerId, brokerEpoch, partitions }: internal.AlterPartitionRequest,
  context: CallContext,
): Promise<internal.AlterPartitionResponse> {
  const results = await runtime.submit((image) => {
    const leader = runtime.cluster.registered(image, brokerId, brokerEpoch);
    return alterPartitions(image, leader, partitions, runtime.settings.defaults);
  }, timeoutOf(context));
  return { results };
}

async function reportOfflineReplicas(
  runtime: ControllerRuntime,
  { brokerId, brokerEpoch, replicas }: internal.ReportOfflineReplicasRequest,
  context: CallContext,
): Promise<internal.ReportOfflineReplicasResponse> {
  await runtime.submit((image) => {
    const holder = runtime.cluster.registered(image, brokerId, brokerEpoch);
    return reportOffline(image, holder, replicas, runtime.settings.defaults);
  }, timeoutOf(context));
  return { metadataOffset: runtime.timeline.committed.offset };
}

function describeQuorum({ raft, quorum, timeline }: ControllerRuntime): internal.DescribeQuorumResponse {
  const { clusterId } = timeline.committed;
  const features = announcedFeatures();
  const { leaderId, voters } = quorum;
  const { term = 0, commitIndex = -1 } = raft?.status ?? {};
  return { clusterId, leaderId, term, committedOffset: commitIndex + 1, voters: [...voters], features };
}
