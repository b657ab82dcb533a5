/**
 *   electable   everybody whom the controller could elect, which is the ISR and the eligible replicas, has
 *               everything that is committed
 *
 * What replication rests on (docs/protocols/replication.md, section 6), and sooner to be seen than a loss:
 * a replica that is admitted without a record does harm only when its leader dies before it has caught up.
 */
import type { MetadataImage, PartitionImage, TopicImage } from '@barnabas/metadata';
import { Violation } from '../../kernel/violation.js';
import type { PartitionTruth } from '../truth/partition-truth.js';
import type { Truth } from '../truth/truth.js';

interface Looked {
  readonly partition: PartitionImage;
  /** By member: how often its log has lost something, and up to where the rest has been compared. */
  readonly members: Map<number, { cuts: number; upTo: number }>;
}

export interface ElectableParts {
  readonly truth: Truth;
  /** The power has taken some of it, and the broker has not registered since, or was the last one. */
  readonly mayLack: (brokerId: number, topicId: string, partition: number) => boolean;
}

export class ElectableChecks {
  /** `<topic id>-<partition>`. */
  readonly #looked = new Map<string, Looked>();

  constructor(private readonly parts: ElectableParts) {}

  /** After every event, at the newest metadata that anybody has. */
  look(image: MetadataImage): void {
    for (const topic of image.topics.values()) {
      topic.partitions.forEach((partition, number) => this.#look(topic, partition, number));
    }
  }

  #look(topic: TopicImage, partition: PartitionImage, number: number): void {
    const truth = this.parts.truth.find(topic.id, number);
    if (truth === undefined || truth.mayHaveLost) return;
    const key = `${topic.id}-${number}`;
    let looked = this.#looked.get(key);
    if (looked?.partition !== partition) {
      looked = { partition, members: new Map() };
      this.#looked.set(key, looked);
    }
    for (const id of partition.isr) this.#lookAt(id, truth, looked);
    for (const id of partition.eligibleLeaderReplicas) this.#lookAt(id, truth, looked);
  }

  #lookAt(id: number, truth: PartitionTruth, { partition, members }: Looked): void {
    const { topicId, partition: number, endOffset } = truth;
    const log = this.parts.truth.replica(id, topicId, number);
    // What it holds is not what it held: nobody can know that before it is read.
    if (log.isRotten) return;
    const known = members.get(id);
    if (known?.cuts === log.cuts && known.upTo === endOffset) return;
    const from = known?.cuts === log.cuts ? Math.min(known.upTo, endOffset) : 0;
    members.set(id, { cuts: log.cuts, upTo: endOffset });
    const lacking = truth.firstLacking(log, from);
    if (lacking === undefined) return;
    if (log.wasTaken(lacking) && this.parts.mayLack(id, topicId, number)) return;
    throw new Violation('electable', 'a replica could be elected that lacks what is committed', {
      ...{ partition: truth.name, topicId, broker: id, committed: endOffset, lacks: lacking.print },
      ...{ logEndOffset: log.endOffset, state: JSON.stringify(partition) },
    });
  }
}
