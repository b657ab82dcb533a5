/**
 * Producer, consumer and admin for TypeScript, and the parts of them that a gateway builds on:
 * ClusterRouter (who leads what, and how to reach it), BatchForwarder (finished batches to leaders,
 * in order, with retries), FetchSession (partitions from their leaders, within a window of bytes).
 */
export * from './records.js';
export type { ConsumerInterceptor, ProducerInterceptor } from './interceptors.js';
export { murmur2, partitionForKey, toPositive } from './producer/murmur2.js';
export type { Partitioner, PartitionerTopic } from './producer/partitioner.js';
export { StickyPartitions } from './producer/sticky-partitions.js';
export { CONSUMER_OPTIONS } from './options/consumer-options.js';
export type { ConsumerOptions } from './options/consumer-options.js';
export { CONNECTION_OPTIONS } from './options/connection-options.js';
export type { ConnectionOptions, Route } from './options/connection-options.js';
export { PRODUCER_OPTIONS } from './options/producer-options.js';
export type { Acks, ProducerOptions } from './options/producer-options.js';

export { withLeader, withoutLearned } from './cluster/cluster-view.js';
export type * from './cluster/cluster-view.js';
export { ClusterRouter } from './cluster/cluster-router.js';
export type { ClusterRouterParts, LeaderEndpoint } from './cluster/cluster-router.js';
export type { Endpoint } from './cluster/broker-endpoints.js';
export { callLeaders } from './cluster/leader-calls.js';
export type { LeaderCall } from './cluster/leader-calls.js';
export { MetadataCache } from './cluster/metadata-cache.js';
export type { MetadataCacheParts } from './cluster/metadata-cache.js';
export { NodePool } from './cluster/node-pool.js';
export type { NodeCallOptions, NodePoolParts } from './cluster/node-pool.js';

export { BatchForwarder, ForwardLane } from './produce/batch-forwarder.js';
export type { BatchForwarderOptions } from './produce/batch-forwarder.js';
export { LeaderProduceStream } from './produce/leader-produce-stream.js';
export type { LeaderProduceStreamParts, ProduceAnswer } from './produce/leader-produce-stream.js';
export type { AppendResult } from './produce/outbound.js';

export { FetchSession } from './fetch/fetch-session.js';
export type { FetchSessionOptions, FetchSubscription } from './fetch/fetch-session.js';
export { LeaderFetchStream } from './fetch/leader-fetch-stream.js';
export type { LeaderFetchStreamParts, StreamSubscriber } from './fetch/leader-fetch-stream.js';
export type { FetchedData, FetchLimits, FetchListener } from './fetch/partition-fetcher.js';

export { BarnabasClient } from './client.js';
export type { ClientInterceptor, ClientTls, Connector, Environment } from './client.js';
export type { ClientOptions } from './options/client-options.js';
export { Producer } from './producer/producer.js';
export { Consumer } from './consumer/consumer.js';
export type { ConsumerGroupMetadata } from './consumer/consumer.js';
export type { OffsetAndMetadata, OffsetCommitCallback } from './consumer/commits.js';
export type { BatchHandler, HandlerContext, RecordHandler, RunOptions } from './consumer/run-options.js';
export type { RebalanceListener, SubscribedTopics } from './consumer/subscription.js';
export { ConsumerBatch } from './consumer/consumer-batch.js';
export type { BatchRecord } from './consumer/consumer-batch.js';
export { listOffsets } from './consumer/list-offsets.js';
export type { FoundOffset, ListOffsetsOptions, OffsetQuestion, OffsetSpec } from './consumer/list-offsets.js';
export { Admin } from './admin/admin.js';
export type * from './admin/admin-types.js';
export type * from './admin/cluster-types.js';
export type * from './admin/group-admin-types.js';
export { PartialFailureError } from './admin/partial-failure.js';

export { GroupCalls } from './group/group-calls.js';
export type { GroupCallOptions, GroupClient } from './group/group-calls.js';
export { Membership } from './group/membership.js';
export type { MembershipListener, MembershipOptions, MembershipToResume } from './group/membership.js';
export { MemberOffsets, NOBODYS_MEMBER } from './group/member-offsets.js';
export type { CommitOptions, MemberPorts, PartitionToFetch } from './group/member-offsets.js';
export type * from './group/group-types.js';
