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
import type { ReplicaLog } from '../truth/replica-log.js';
import type { Truth } from '../truth/truth.js';

interface Member {
  readonly id: number;
  readonly log: ReplicaLog;
  /** How often the log had lost something when it was looked at. */
  cuts: number;
  /** Up to where it has been compared since. */
  upTo: number;
}

interface Looked {
  readonly partition: PartitionImage;
  readonly truth: PartitionTruth;
  readonly members: readonly Member[];
}

export interface ElectableParts {
  readonly truth: Truth;
  /** The power has taken some of it, and the broker has not registered since, or was the last one. */
  readonly mayLack: (brokerId: number, topicId: string, partition: number) => boolean;
}

export class ElectableChecks {
  /** By topic, as it is in the image; each with its partitions. */
  #looked = new Map<TopicImage, readonly Looked[]>();
  #image: MetadataImage | undefined;

  constructor(private readonly parts: ElectableParts) {}

  /** After every event, at the newest metadata that anybody has. */
  look(image: MetadataImage): void {
    if (image !== this.#image) this.#take(image);
    for (const partitions of this.#looked.values()) {
      for (const looked of partitions) for (const member of looked.members) this.#lookAt(member, looked);
    }
  }

  #take(image: MetadataImage): void {
    this.#image = image;
    const topics = [...image.topics.values()];
    this.#looked = new Map(topics.map((topic) => [topic, this.#looked.get(topic) ?? this.#begin(topic)]));
  }

  #begin({ name, id: topicId, partitions }: TopicImage): readonly Looked[] {
    const { truth } = this.parts;
    return partitions.map((partition, number): Looked => {
      const ids = [...partition.isr, ...partition.eligibleLeaderReplicas];
      const members = ids.map((id) => ({ id, log: truth.replica(id, topicId, number), cuts: -1, upTo: 0 }));
      return { partition, truth: truth.partition(name, topicId, number), members };
    });
  }

  #lookAt(member: Member, { partition, truth }: Looked): void {
    const { id, log } = member;
    const { topicId, partition: number, endOffset } = truth;
    if (member.cuts === log.cuts && member.upTo === endOffset) return;
    const from = member.cuts === log.cuts ? Math.min(member.upTo, endOffset) : 0;
    member.cuts = log.cuts;
    member.upTo = endOffset;
    // What has rotted is not what it was, and nobody can know that before it is read.
    if (truth.mayHaveLost || log.isRotten) return;
    const lacking = truth.firstLacking(log, from);
    if (lacking === undefined) return;
    if (log.wasTaken(lacking) && this.parts.mayLack(id, topicId, number)) {
      // Until it has registered: then it is to be looked at again.
      member.cuts = -1;
      return;
    }
    throw new Violation('electable', 'a replica could be elected that lacks what is committed', {
      ...{ partition: truth.name, topicId, broker: id, committed: endOffset, lacks: lacking.print },
      ...{ logEndOffset: log.endOffset, state: JSON.stringify(partition) },
    });
  }
}
