/** What the operator has set, as far as groups depend on it: Kafka's keys, in camel case, with Kafka's defaults. */
import type { Assignor } from './assignor.js';
import { rangeAssignor } from './range-assignor.js';
import { uniformAssignor } from './uniform-assignor.js';

export interface GroupSettings {
  /** group.consumer.session.timeout.ms: a member silent for this long is removed. */
  readonly sessionTimeoutMs: number;
  /** group.consumer.heartbeat.interval.ms: how often members are to be heard from. */
  readonly heartbeatIntervalMs: number;
  /** group.consumer.max.size: members that one group may have. */
  readonly maxSize: number;
  /** group.consumer.assignors: the first is the default. */
  readonly assignors: readonly Assignor[];
  /** offsets.retention.minutes, in milliseconds. */
  readonly offsetsRetentionMs: number;
  /** offsets.retention.check.interval.ms. */
  readonly offsetsRetentionCheckIntervalMs: number;
  /** offset.metadata.max.bytes. */
  readonly offsetMetadataMaxBytes: number;
  /** Longest rebalance timeout that a member may ask for (max.poll.interval.ms of its client). */
  readonly maxRebalanceTimeoutMs: number;
}

const MINUTE_MS = 60_000;

export const DEFAULT_GROUP_SETTINGS: GroupSettings = Object.freeze({
  sessionTimeoutMs: 45_000,
  heartbeatIntervalMs: 5_000,
  maxSize: 2 ** 31 - 1,
  assignors: Object.freeze([uniformAssignor, rangeAssignor]),
  offsetsRetentionMs: 10_080 * MINUTE_MS,
  offsetsRetentionCheckIntervalMs: 600_000,
  offsetMetadataMaxBytes: 4_096,
  maxRebalanceTimeoutMs: 2 ** 31 - 1,
});
