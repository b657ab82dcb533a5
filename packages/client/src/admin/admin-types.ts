/** What an administrator asks for and gets about topics, configurations and records, in words of the application. */
import type { TopicPartition } from '../records.js';

export interface NewTopic {
  readonly name: string;
  /** Default: num.partitions of the cluster. */
  readonly partitions?: number;
  /** Default: default.replication.factor of the cluster. */
  readonly replicationFactor?: number;
  /** Brokers of each partition's replicas, the preferred leader first; instead of the two above. */
  readonly assignments?: readonly (readonly number[])[];
  /** What differs from the cluster's defaults, under Kafka's keys. */
  readonly configs?: Readonly<Record<string, string>>;
}

export interface CreatedTopic {
  readonly name: string;
  /** Empty with validateOnly. */
  readonly topicId: string;
  readonly partitions: number;
  readonly replicationFactor: number;
}

export interface DeletedTopic {
  readonly name: string;
  readonly topicId: string;
}

export interface NewPartitions {
  readonly name: string;
  /** The partition count wanted, greater than today's. */
  readonly totalCount: number;
  /** Brokers of each new partition's replicas. */
  readonly assignments?: readonly (readonly number[])[];
}

export type ConfigResource =
  | { readonly type: 'topic'; readonly name: string }
  /** A node id, or '' for the default of all brokers. */
  | { readonly type: 'broker'; readonly name: string };

/** Where a value comes from, most specific first. */
export type ConfigSource =
  | 'DYNAMIC_TOPIC_CONFIG'
  | 'DYNAMIC_BROKER_CONFIG'
  | 'DYNAMIC_DEFAULT_BROKER_CONFIG'
  | 'STATIC_BROKER_CONFIG'
  | 'DEFAULT_CONFIG'
  | 'UNKNOWN';

export interface ConfigEntry {
  readonly key: string;
  /** Empty for sensitive ones. */
  readonly value: string;
  readonly source: ConfigSource;
  readonly readOnly: boolean;
  readonly sensitive: boolean;
  readonly documentation: string;
}

export interface DescribedConfig {
  readonly resource: ConfigResource;
  readonly entries: readonly ConfigEntry[];
}

export interface AlterConfigOp {
  readonly key: string;
  /** Default `set`. `append` and `subtract` are for lists. */
  readonly op?: 'set' | 'delete' | 'append' | 'subtract';
  /** Left out with `delete`. */
  readonly value?: string;
}

export interface AlterConfigs {
  readonly resource: ConfigResource;
  readonly ops: readonly AlterConfigOp[];
}

export interface DeleteRecords extends TopicPartition {
  /** Everything below goes; -1 means everything there is. */
  readonly beforeOffset: number;
}

export interface DeletedRecords extends TopicPartition {
  /** The first offset now. */
  readonly logStartOffset: number;
}

export interface AdminCallOptions {
  /** With its retries. ms, default default.api.timeout.ms. */
  readonly timeoutMs?: number;
}

export interface ValidateOptions extends AdminCallOptions {
  /** Check everything, change nothing. */
  readonly validateOnly?: boolean;
}
