/** What a topic's configuration demands of elections and of its ISRs, as far as the metadata log and the controller know it. */
import { configuredBroker, dynamicBrokerConfig, effectiveTopicValue } from '@barnabas/metadata';
import type { BrokerImage, ConfiguredBroker, MetadataImage } from '@barnabas/metadata';

export interface PartitionRules {
  /** min.insync.replicas of a partition with so many replicas: never more than there are. */
  minIsr(replicas: number): number;
  /** unclean.leader.election.enable. */
  isUncleanAllowed(): boolean;
}

/** Of one topic; each value is looked up when it is first needed. */
export class TopicRules implements PartitionRules {
  #minIsr: number | undefined;
  #unclean: boolean | undefined;

  constructor(
    private readonly image: MetadataImage,
    private readonly topic: string,
    private readonly defaults: ConfiguredBroker,
  ) {}

  minIsr(replicas: number): number {
    this.#minIsr ??= effectiveTopicValue(this.image, this.topic, 'min.insync.replicas', this.defaults);
    return Math.min(this.#minIsr, replicas);
  }

  isUncleanAllowed(): boolean {
    this.#unclean ??= effectiveTopicValue(this.image, this.topic, 'unclean.leader.election.enable', this.defaults);
    return this.#unclean;
  }

  /**
   * Whether a crash of this broker can cost what it had acknowledged: flush.messages is not 1 for it.
   * The value is that of now; a topic that was flushed lazily until a moment ago counts as synced.
   */
  mayLoseWrites(broker: ConfiguredBroker): boolean {
    return effectiveTopicValue(this.image, this.topic, 'flush.messages', broker) !== 1;
  }
}

/** A broker with what it said of its own configuration when it registered. */
export function configuredAsRegistered({ id, flushIntervalMessages }: BrokerImage): ConfiguredBroker {
  const given = dynamicBrokerConfig.parse({ 'log.flush.interval.messages': String(flushIntervalMessages) });
  return configuredBroker(id, dynamicBrokerConfig.entries(given));
}
