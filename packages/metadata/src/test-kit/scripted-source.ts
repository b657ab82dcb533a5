/** A source of images that tests make of records; stands for a follower. */
import { internal } from '@barnabas/protocol';
import { MetadataDelta } from '../delta.js';
import { announcedFeatures } from '../features.js';
import { emptyImage } from '../image.js';
import type { MetadataImage } from '../image.js';
import type { MetadataPublisher, MetadataSource } from '../publisher.js';

export class ScriptedSource implements MetadataSource {
  image: MetadataImage = emptyImage;
  controllerId = 1;
  publisher: MetadataPublisher | undefined;
  readonly #waiting = new Set<() => void>();

  /** Commits records together. */
  write(...records: NonNullable<internal.MetadataRecord['record']>[]): void {
    const delta = new MetadataDelta(this.image);
    for (const record of records) delta.replay({ record });
    this.image = delta.apply({ offset: this.image.offset + records.length, term: 1 });
    this.publisher?.publish(delta, this.image);
    for (const check of [...this.#waiting]) check();
  }

  /** Never gives up: tests decide what comes. */
  waitFor(condition: (image: MetadataImage) => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const check = () => {
        if (!condition(this.image)) return;
        this.#waiting.delete(check);
        resolve(true);
      };
      this.#waiting.add(check);
      check();
    });
  }
}

/** A cluster of two brokers, of which the second is fenced, and two topics. */
export function smallCluster(): ScriptedSource {
  const source = new ScriptedSource();
  source.write({ $case: 'clusterId', clusterId: { clusterId: 'cluster' } }, broker(1, false), broker(2, true));
  source.write(...topic('b', 2), ...topic('a', 1));
  return source;
}

export function broker(brokerId: number, fenced: boolean): NonNullable<internal.MetadataRecord['record']> {
  const endpoints = [
    { name: 'CLIENT', host: `broker-${brokerId}`, port: 7700 },
    { name: 'INTERNAL', host: `broker-${brokerId}`, port: 7701 },
  ];
  const incarnationId = 'AAAAAAAAQAAAgAAAAAAAAA';
  const registerBroker = internal.RegisterBrokerRecord.create({
    ...{ brokerId, incarnationId, brokerEpoch: brokerId, endpoints, rack: 'r', fenced },
    features: announcedFeatures(),
  });
  return { $case: 'registerBroker', registerBroker };
}

export function topic(name: string, partitions: number): NonNullable<internal.MetadataRecord['record']>[] {
  const topicId = `id of ${name}`;
  const place = { replicas: [1], isr: [1], leader: 1, leaderEpoch: 0, partitionEpoch: 0 };
  return [
    { $case: 'topic', topic: { name, topicId } },
    ...Array.from({ length: partitions }, (_, partition) => {
      return {
        $case: 'partition',
        partition: internal.PartitionRecord.create({ topicId, partition, ...place }),
      } as const;
    }),
  ];
}
