/** What the operator has set, as the core of groups takes it. */
import type { BrokerConfig } from '../config.js';
import { DEFAULT_GROUP_SETTINGS, rangeAssignor, uniformAssignor } from '../core/group/index.js';
import type { Assignor, GroupSettings } from '../core/group/index.js';

const ASSIGNORS: Readonly<Record<BrokerConfig['group.consumer.assignors'][number], Assignor>> = {
  uniform: uniformAssignor,
  range: rangeAssignor,
};

const MINUTE_MS = 60_000;

export function groupSettingsOf(config: BrokerConfig): GroupSettings {
  return {
    sessionTimeoutMs: config['group.consumer.session.timeout.ms'],
    heartbeatIntervalMs: config['group.consumer.heartbeat.interval.ms'],
    maxSize: config['group.consumer.max.size'],
    assignors: config['group.consumer.assignors'].map((name) => ASSIGNORS[name]),
    offsetsRetentionMs: config['offsets.retention.minutes'] * MINUTE_MS,
    offsetsRetentionCheckIntervalMs: config['offsets.retention.check.interval.ms'],
    offsetMetadataMaxBytes: config['offset.metadata.max.bytes'],
    maxRebalanceTimeoutMs: DEFAULT_GROUP_SETTINGS.maxRebalanceTimeoutMs,
  };
}
