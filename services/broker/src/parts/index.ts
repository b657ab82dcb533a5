/** A broker without its network and its controller: what the simulator puts under virtual time. */
export { brokerConfig, brokerConfigEntries } from '../config.js';
export type { BrokerConfig } from '../config.js';
export { fetch } from '../fetch/fetch.js';
export { deleteRecords } from '../handlers/delete-records.js';
export { listOffsets } from '../handlers/list-offsets.js';
export { ProduceStreamSession } from '../produce/produce-stream.js';
export type { FollowerStream, LeaderStream } from '../replication/messages.js';
export { ReplicaNode } from '../replica-node.js';
export type { ReplicaNodeOptions, ReplicationOptions } from '../replica-node.js';
export { ReplicaPublisher } from '../runtime/metadata-publisher.js';
export { BrokerMetrics } from '../runtime/metrics.js';
export type { ReplicaDriver, ReplicaPartition } from '../runtime/replica-driver.js';
export { TopicConfigs } from '../runtime/topic-configs.js';
