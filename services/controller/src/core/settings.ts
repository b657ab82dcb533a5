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
  /** The controller's own defaults for topics; only unclean.leader.election.enable matters here. */
  readonly defaults: ConfiguredBroker;
}
