/**
 * Makes __consumer_offsets when somebody needs it and it is not there. The controller makes it once,
 * however many brokers ask (docs/protocols/groups.md, section 12).
 */
import type { Logger } from '@barnabas/common';
import type { MetadataSource, TopicImage } from '@barnabas/metadata';
import type { ControllerClient } from '@barnabas/metadata/follower';
import { BarnabasError, CONSUMER_OFFSETS_TOPIC, errorFromProto, toBarnabasError } from '@barnabas/protocol';
import type { BrokerConfig } from '../config.js';

export interface OffsetsTopicOptions {
  readonly config: Pick<
    BrokerConfig,
    'offsets.topic.num.partitions' | 'offsets.topic.replication.factor' | 'offsets.topic.segment.bytes'
  >;
  readonly source: Pick<MetadataSource, 'image' | 'waitFor'>;
  readonly controller: Pick<ControllerClient, 'createInternalTopic'>;
  readonly timeoutMs: number;
  readonly logger: Logger;
}

export class OffsetsTopic {
  #making: Promise<void> | undefined;

  constructor(private readonly options: OffsetsTopicOptions) {}

  /** The topic, if there is one. */
  get image(): TopicImage | undefined {
    return this.options.source.image.topics.named(CONSUMER_OFFSETS_TOPIC);
  }

  /** Resolves when this broker knows of the topic; rejects with COORDINATOR_NOT_AVAILABLE when that fails. */
  async ensure(): Promise<TopicImage> {
    for (let asked = false; ; asked = true) {
      const { image } = this;
      if (image !== undefined) return image;
      if (asked) throw notAvailable('its creation has not reached this broker yet');
      this.#making ??= this.#make().finally(() => (this.#making = undefined));
      await this.#making;
    }
  }

  async #make(): Promise<void> {
    const { config, source, controller, timeoutMs, logger } = this.options;
    const replicationFactor = config['offsets.topic.replication.factor'];
    const request = {
      name: CONSUMER_OFFSETS_TOPIC,
      partitions: config['offsets.topic.num.partitions'],
      replicationFactor,
      configs: {
        'cleanup.policy': 'compact',
        'compression.type': 'producer',
        'segment.bytes': String(config['offsets.topic.segment.bytes']),
      },
    };
    let answer;
    try {
      answer = await controller.createInternalTopic(request, { timeoutMs });
    } catch (error) {
      throw notAvailable(toBarnabasError(error).message);
    }
    const { result, metadataOffset, created } = answer;
    if (result === undefined || result.error !== undefined) {
      throw notAvailable(result?.error === undefined ? 'no answer' : errorFromProto(result.error).message);
    }
    if (created) {
      const { partitions, replicationFactor: replicas } = result;
      logger.info('Groups begin: __consumer_offsets was made', { partitions, replicationFactor: replicas });
      if (replicas < replicationFactor) {
        logger.warn('__consumer_offsets has fewer replicas than it should, as few brokers serve', {
          action: 'start more brokers and raise it with barnabas reassign, or lower offsets.topic.replication.factor',
          replicationFactor: replicas,
          wanted: replicationFactor,
        });
      }
    }
    await source.waitFor((image) => image.offset >= metadataOffset, timeoutMs);
  }
}

function notAvailable(why: string): BarnabasError {
  return new BarnabasError('COORDINATOR_NOT_AVAILABLE', `there is no ${CONSUMER_OFFSETS_TOPIC} yet: ${why}; retry`);
}
