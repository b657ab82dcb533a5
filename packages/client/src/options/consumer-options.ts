/**
 * A consumer's options. Times are milliseconds, sizes bytes. Names are Kafka's in camel case,
 * defaults Kafka's.
 */
import type { ConsumerInterceptor } from '../interceptors.js';
import {
  flag,
  illegalOption,
  integer,
  listOfObjects,
  MAX_MESSAGE_BYTES,
  oneOf,
  resolveOptions,
  such,
  text,
} from './option-table.js';
import type { OptionTable, OptionType } from './option-table.js';

export interface ConsumerOptions {
  /** The group whose partitions this consumer shares, and whose offsets it commits. Needed for `subscribe` and commits. Default none (group.id). */
  readonly groupId?: string;
  /** Makes the consumer a static member: stopped and started again within the session timeout, nothing moves. Unique in the group. Default none (group.instance.id). */
  readonly groupInstanceId?: string;
  /** Which of the group's assignors this member prefers: `uniform` or `range`. Default the group's (group.remote.assignor). */
  readonly groupRemoteAssignor?: string;
  /** Commit by itself what is done with. Only with a group id. Default true (enable.auto.commit). */
  readonly enableAutoCommit?: boolean;
  /** How often. ms, default 5,000 (auto.commit.interval.ms). */
  readonly autoCommitIntervalMs?: number;
  /** How long the application may take between two records (or batches) before the consumer leaves the group, and how long it may take to let partitions go. ms, default 300,000 (max.poll.interval.ms). */
  readonly maxPollIntervalMs?: number;
  /** `read_uncommitted`, or `read_committed`: nothing of transactions that are open. Default `read_uncommitted` (isolation.level). */
  readonly isolationLevel?: 'read_uncommitted' | 'read_committed';
  /** Where to go when there is no position or it is outside of the log: `earliest`, `latest`, or `none` for an error. Default `latest` (auto.offset.reset). */
  readonly autoOffsetReset?: 'earliest' | 'latest' | 'none';
  /** What is fetched ahead of the application, in all; each broker may overdraw it by one message. bytes, default 52,428,800 (fetch.max.bytes). */
  readonly fetchMaxBytes?: number;
  /** The largest message of a partition, at most 15 MiB, but always one batch. bytes, default 1,048,576 (max.partition.fetch.bytes). */
  readonly maxPartitionFetchBytes?: number;
  /** A leader holds data back until it has this much of a partition ... bytes, default 1 (fetch.min.bytes). */
  readonly fetchMinBytes?: number;
  /** ... or this time has passed. ms, default 500 (fetch.max.wait.ms). */
  readonly fetchMaxWaitMs?: number;
  /** Verify the CRC32C of every batch. Default true (check.crcs). */
  readonly checkCrcs?: boolean;
  /** The most that a compressed batch may expand to. bytes, default 67,108,864. */
  readonly maxDecompressedBytes?: number;
  /** The rack in which the application stands: it is read from replicas there, where brokers have a replica.selector.class. Default none (client.rack). */
  readonly clientRack?: string;
  /** How long a call for offsets may take with its retries. ms, default 60,000 (default.api.timeout.ms). */
  readonly defaultApiTimeoutMs?: number;
  /** See ConsumerInterceptor. Default none (interceptor.classes). */
  readonly interceptors?: readonly ConsumerInterceptor[];
}

export type ResolvedConsumerOptions = Readonly<Required<ConsumerOptions>>;

const MAX_ID_LENGTH = 255;

function id(allowed: string): OptionType<string> {
  return such(allowed, (value) => typeof value === 'string' && value.length <= MAX_ID_LENGTH);
}

export const CONSUMER_OPTIONS: OptionTable<Required<ConsumerOptions>> = {
  groupId: { kafka: 'group.id', type: id('a text of at most 255 characters'), default: '' },
  groupInstanceId: { kafka: 'group.instance.id', type: id('a text of at most 255 characters'), default: '' },
  groupRemoteAssignor: { kafka: 'group.remote.assignor', type: text, default: '' },
  enableAutoCommit: { kafka: 'enable.auto.commit', type: flag, default: true },
  autoCommitIntervalMs: { kafka: 'auto.commit.interval.ms', type: integer(1), default: 5_000 },
  maxPollIntervalMs: { kafka: 'max.poll.interval.ms', type: integer(1), default: 300_000 },
  isolationLevel: {
    kafka: 'isolation.level',
    type: oneOf('read_uncommitted', 'read_committed'),
    default: 'read_uncommitted',
  },
  autoOffsetReset: { kafka: 'auto.offset.reset', type: oneOf('earliest', 'latest', 'none'), default: 'latest' },
  fetchMaxBytes: { kafka: 'fetch.max.bytes', type: integer(1), default: 52_428_800 },
  maxPartitionFetchBytes: {
    kafka: 'max.partition.fetch.bytes',
    type: integer(1, MAX_MESSAGE_BYTES),
    default: 1_048_576,
  },
  fetchMinBytes: { kafka: 'fetch.min.bytes', type: integer(0), default: 1 },
  fetchMaxWaitMs: { kafka: 'fetch.max.wait.ms', type: integer(0), default: 500 },
  checkCrcs: { kafka: 'check.crcs', type: flag, default: true },
  maxDecompressedBytes: { type: integer(1), default: 67_108_864 },
  clientRack: { kafka: 'client.rack', type: text, default: '' },
  defaultApiTimeoutMs: { kafka: 'default.api.timeout.ms', type: integer(1), default: 60_000 },
  interceptors: { kafka: 'interceptor.classes', type: listOfObjects(), default: [] },
};

export function resolveConsumerOptions(given: ConsumerOptions): ResolvedConsumerOptions {
  const options = resolveOptions('consumer', CONSUMER_OPTIONS, given);
  const { fetchMinBytes, fetchMaxBytes } = options;
  if (fetchMinBytes <= fetchMaxBytes) return options;
  throw illegalOption('consumer', 'fetchMinBytes', fetchMinBytes, `at most fetchMaxBytes (${fetchMaxBytes})`);
}
