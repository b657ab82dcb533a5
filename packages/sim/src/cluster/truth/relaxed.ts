/**
 * Who may lead without records that are committed, in a topic that is not synced with every write.
 *
 * The controller cannot tell whether a broker that was not stopped in good order has lost anything. It
 * takes it out of ISR and eligible replicas as long as somebody else is in them; the last one stays, and
 * leads again with whatever its disk has. So a loss is allowed to exactly this broker: one that had the
 * record, whose machine lost its power, and who was the last one counted on when it registered anew.
 * What others hold, whose processes died and whose machines did not, is of no account (docs/protocols/
 * replication.md, section 6, "What flush.messages gives up").
 *
 * Does not own: what the power has taken, which the replica's shadow knows (replica-log.ts).
 */
import type { MetadataImage, PartitionImage, TopicImage } from '@barnabas/metadata';

export class RelaxedTopics {
  /** By broker: the registration as last seen. */
  readonly #registrations = new Map<number, number>();
  /** `<broker>/<topic id>-<partition>` for those who were alone when they last registered. */
  readonly #lastOnes = new Set<string>();
  /** Machines that have lost their power, and nobody has registered there since. */
  readonly #silent = new Set<number>();

  constructor(private readonly isRelaxed: (topic: string) => boolean) {}

  isExcused(brokerId: number, topicId: string, partition: number): boolean {
    return this.#lastOnes.has(keyOf(brokerId, topicId, partition));
  }

  lostPower(brokerId: number): void {
    this.#silent.add(brokerId);
  }

  /** The broker may be counted on and lack what the power has taken: nobody can know that yet, or nothing could be done. */
  mayLack(brokerId: number, topicId: string, partition: number): boolean {
    return this.#silent.has(brokerId) || this.isExcused(brokerId, topicId, partition);
  }

  /** Metadata has changed: who has registered anew? */
  changed(image: MetadataImage): void {
    for (const { id, epoch } of image.brokers.values()) {
      if (this.#registrations.get(id) === epoch) continue;
      this.#registrations.set(id, epoch);
      this.#silent.delete(id);
      this.#registered(id, image);
    }
  }

  #registered(brokerId: number, image: MetadataImage): void {
    for (const topic of image.topics.values()) {
      if (!this.isRelaxed(topic.name)) continue;
      topic.partitions.forEach((partition, number) => this.#judge(brokerId, topic, partition, number));
    }
  }

  #judge(brokerId: number, topic: TopicImage, partition: PartitionImage, number: number): void {
    const countedOn = [...partition.isr, ...partition.eligibleLeaderReplicas];
    const key = keyOf(brokerId, topic.id, number);
    if (countedOn.every((id) => id === brokerId)) this.#lastOnes.add(key);
    else this.#lastOnes.delete(key);
  }
}

function keyOf(brokerId: number, topicId: string, partition: number): string {
  return `${brokerId}/${topicId}-${partition}`;
}
