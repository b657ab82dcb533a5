/**
 * What topics that are not synced with every write may lose. As long as one replica that is in sync
 * keeps its machine's power and its process, nothing; a machine that has lost its power is no such
 * replica until it is in sync again.
 */
import type { MetadataImage, PartitionImage, TopicImage } from '@barnabas/metadata';
import type { PartitionTruth } from './partition-truth.js';

export interface RelaxedParts {
  readonly isRelaxed: (topic: string) => boolean;
  readonly isUp: (brokerId: number) => boolean;
  readonly image: () => MetadataImage | undefined;
  readonly truth: (topic: TopicImage, partition: number) => PartitionTruth;
}

/** Of one partition: brokers that have lost their power, and the registration they had then. */
type Vulnerable = Map<number, number>;

export class RelaxedTopics {
  readonly #vulnerable = new Map<string, Vulnerable>();

  constructor(private readonly parts: RelaxedParts) {}

  wentDown(brokerId: number, hasLostPower: boolean): void {
    this.#each((topic, partition, number) => {
      if (!partition.replicas.includes(brokerId)) return;
      const vulnerable = this.#of(topic, number);
      const registration = this.parts.image()?.brokers.get(brokerId)?.epoch ?? 0;
      if (hasLostPower) vulnerable.set(brokerId, registration);
      const { replicas, isr } = partition;
      const isSafe = replicas.every((id) => id === brokerId || (this.parts.isUp(id) && isr.includes(id)));
      if (vulnerable.size > 0 && (!isSafe || vulnerable.size > 1 || replicas.length === 1)) {
        this.parts.truth(topic, number).mayHaveLost = true;
      }
    });
  }

  /** Metadata has changed: who is back in sync? */
  changed(image: MetadataImage): void {
    if (this.#vulnerable.size === 0) return;
    this.#each((topic, { isr, replicas }, number) => {
      const vulnerable = this.#of(topic, number);
      for (const [id, registration] of vulnerable) {
        const isAnew = (image.brokers.get(id)?.epoch ?? 0) > registration;
        if (isAnew && isr.length === replicas.length) vulnerable.delete(id);
      }
    });
  }

  #of(topic: TopicImage, number: number): Vulnerable {
    const key = `${topic.id}-${number}`;
    const known = this.#vulnerable.get(key) ?? new Map<number, number>();
    this.#vulnerable.set(key, known);
    return known;
  }

  #each(visit: (topic: TopicImage, partition: PartitionImage, number: number) => void): void {
    for (const topic of this.parts.image()?.topics.values() ?? []) {
      if (!this.parts.isRelaxed(topic.name)) continue;
      topic.partitions.forEach((partition, number) => visit(topic, partition, number));
    }
  }
}
