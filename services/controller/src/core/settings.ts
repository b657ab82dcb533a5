/** What the operator has set, as far as decisions depend on it. */
import type { ConfiguredBroker } from '@barnabas/metadata';

export interface ControllerSettings {
  /** num.partitions: of topics created without a count. */
  readonly numPartitions: number;
  /** default.replication.factor. */
  readonly defaultReplicationFactor: number;
  /** auto.create.topics.enable. */
  readonly autoCreateTopics: boolean;
  /** delete.topic.enable. */
  readonly deleteTopics: boolean;
  /** broker.session.timeout.ms. */
  readonly sessionTimeoutMs: number;
  /** auto.leader.rebalance.enable. */
  readonly autoLeaderRebalance: boolean;
  /** leader.imbalance.check.interval.seconds, in milliseconds. */
  readonly leaderImbalanceCheckMs: number;
  /** leader.imbalance.per.broker.percentage. */
  readonly leaderImbalancePercentage: number;
  /** The controller's own defaults for topics; only min.insync.replicas and unclean.leader.election.enable matter here. */
  readonly defaults: ConfiguredBroker;
}
