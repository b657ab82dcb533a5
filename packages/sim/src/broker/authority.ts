/**
 * What the controller does for a broker, as far as one node needs it: the metadata log as committed
 * records, the image they make, producer ids. The real records, deltas and images; no quorum.
 */
import { MetadataDelta, NO_LEADER, emptyImage, randomUuid } from '@barnabas/metadata';
import type { ImageChanges, MetadataImage } from '@barnabas/metadata';
import { internal } from '@barnabas/protocol';
import type { Dice } from '../kernel/dice.js';
import type { TopicPlan } from './topics.js';

type Body = NonNullable<internal.MetadataRecord['record']>;

export const NODE_ID = 0;

export type MetadataListener = (changes: ImageChanges, image: MetadataImage) => void;

export class Authority {
  #image: MetadataImage = emptyImage;
  #nextProducerId = 1000;

  constructor(
    private readonly dice: Dice,
    private readonly onChange: MetadataListener,
  ) {
    this.#commit([{ $case: 'clusterId', clusterId: { clusterId: randomUuid(dice) } }]);
  }

  get image(): MetadataImage {
    return this.#image;
  }

  /** A block of one: the run stays the same whatever a broker does with its blocks. */
  producerId(): number {
    this.#nextProducerId += 1;
    return this.#nextProducerId;
  }

  topicId(name: string): string | undefined {
    return this.#image.topics.named(name)?.id;
  }

  create(plan: TopicPlan): string {
    const topicId = randomUuid(this.dice);
    const at = { replicas: [NODE_ID], isr: [NODE_ID], leader: NODE_ID };
    const records: Body[] = [{ $case: 'topic', topic: { name: plan.name, topicId } }];
    for (let partition = 0; partition < plan.partitions; partition++) {
      records.push({ $case: 'partition', partition: internal.PartitionRecord.create({ topicId, partition, ...at }) });
    }
    for (const [key, value] of Object.entries(plan.config)) records.push(configRecord(plan.name, key, value));
    this.#commit(records);
    return topicId;
  }

  /** Sets a key of a topic that exists. */
  configure(name: string, key: string, value: string): void {
    if (this.topicId(name) !== undefined) this.#commit([configRecord(name, key, value)]);
  }

  /** Returns the id that is gone. */
  remove(name: string): string | undefined {
    const topicId = this.topicId(name);
    if (topicId === undefined) return undefined;
    this.#commit([{ $case: 'removeTopic', removeTopic: { topicId } }]);
    return topicId;
  }

  /** Every partition gets a leader again, in a new epoch: the broker has registered anew. */
  elect(): void {
    this.#leadAll(NODE_ID);
  }

  /** Nobody leads: the broker is fenced. */
  fence(): void {
    this.#leadAll(NO_LEADER);
  }

  #leadAll(leader: number): void {
    const records: Body[] = [];
    for (const { id: topicId, partitions } of this.#image.topics.values()) {
      partitions.forEach((_, partition) => {
        records.push({ $case: 'partitionChange', partitionChange: { topicId, partition, leader } });
      });
    }
    if (records.length > 0) this.#commit(records);
  }

  #commit(records: readonly Body[]): void {
    const delta = new MetadataDelta(this.#image);
    for (const record of records) delta.replay({ record });
    this.#image = delta.apply({ offset: this.#image.offset + records.length, term: 1 });
    this.onChange(delta, this.#image);
  }
}

function configRecord(resourceName: string, key: string, value: string): Body {
  const resourceType = internal.ConfigRecordResourceType.TOPIC;
  return { $case: 'config', config: { resourceType, resourceName, key, value } };
}
