/** Metadata for tests of groups: topics that come, grow and go, brokers in racks. */
import { MetadataDelta, emptyImage } from '@barnabas/metadata';
import type { ImageChanges, MetadataImage } from '@barnabas/metadata';
import { internal } from '@barnabas/protocol';

export class TestMetadata {
  image: MetadataImage = emptyImage;

  /** `racks`: of brokers 1, 2, … */
  constructor(racks: readonly string[] = []) {
    for (const [index, rack] of racks.entries()) {
      const registration = { brokerId: index + 1, brokerEpoch: this.image.offset, rack };
      const registerBroker = internal.RegisterBrokerRecord.fromPartial(registration);
      this.#replay({ $case: 'registerBroker', registerBroker });
    }
  }

  /** Replicas by partition; one at broker 1 unless told. */
  addTopic(
    name: string,
    partitions: number,
    replicasOf: (partition: number) => readonly number[] = () => [1],
  ): ImageChanges {
    const topicId = topicIdOf(name, this.image.offset);
    return this.#replay(
      { $case: 'topic', topic: { name, topicId } },
      ...partitionRecords(topicId, 0, partitions, replicasOf),
    );
  }

  grow(name: string, partitions: number): ImageChanges {
    const topic = this.image.topics.named(name);
    if (topic === undefined) throw new Error(`there is no topic ${name}`);
    return this.#replay(...partitionRecords(topic.id, topic.partitions.length, partitions, () => [1]));
  }

  /** Another broker leads, in a new leader epoch; -1: nobody. */
  lead(name: string, partition: number, leader: number): ImageChanges {
    const topicId = this.topicId(name);
    const change = { topicId, partition, leader, isr: undefined, replicas: undefined };
    return this.#replay({ $case: 'partitionChange', partitionChange: change });
  }

  remove(name: string): ImageChanges {
    return this.#replay({ $case: 'removeTopic', removeTopic: { topicId: this.topicId(name) } });
  }

  topicId(name: string): string {
    const id = this.image.topics.named(name)?.id;
    if (id === undefined) throw new Error(`there is no topic ${name}`);
    return id;
  }

  #replay(...records: readonly NonNullable<internal.MetadataRecord['record']>[]): ImageChanges {
    const delta = new MetadataDelta(this.image);
    for (const record of records) delta.replay({ record });
    this.image = delta.apply({ offset: this.image.offset + records.length, term: 1 });
    return delta;
  }
}

function topicIdOf(name: string, offset: number): string {
  return `${name}${'-'.repeat(22)}`.slice(0, 18) + String(offset).padStart(4, '0');
}

function partitionRecords(
  topicId: string,
  from: number,
  to: number,
  replicasOf: (partition: number) => readonly number[],
): NonNullable<internal.MetadataRecord['record']>[] {
  return Array.from({ length: to - from }, (_, index) => {
    const replicas = [...replicasOf(from + index)];
    const leader = replicas[0] ?? -1;
    const fields = { topicId, partition: from + index, replicas, isr: replicas, leader };
    return { $case: 'partition', partition: internal.PartitionRecord.fromPartial(fields) } as const;
  });
}
