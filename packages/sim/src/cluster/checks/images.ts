/**
 * What the metadata of every node must be like.
 *
 *   images      images of one offset are equal, whoever has them
 *   isr         ISR, eligible replicas and leader are among the replicas; the leader is in the ISR; nobody is in ISR and eligible
 *   epochs      leader and partition epochs never fall, and the leader changes only with its epoch
 *   election    the ISR with which a leader begins has somebody in it who was in sync or eligible before, unless unclean
 *               elections are allowed. Said only of a change that follows directly on what was seen: between images that
 *               are several changes apart an admission may have come first, and `electable` sees what is wrong with that
 */
import { createHash } from 'node:crypto';
import { NO_LEADER, snapshotRecords } from '@barnabas/metadata';
import type { MetadataImage, PartitionImage, TopicImage } from '@barnabas/metadata';
import { internal } from '@barnabas/protocol';
import { Violation } from '../../kernel/violation.js';

export class ImageChecks {
  /** By offset. */
  readonly #prints = new Map<number, string>();
  readonly #seen = new Map<object, MetadataImage>();
  #newest: MetadataImage | undefined;

  constructor(
    private readonly mayElectUncleanly: (topic: TopicImage, partition: number) => boolean,
    private readonly onNewest: (image: MetadataImage) => void,
  ) {}

  /** `who` is one life of a node. */
  look(who: object, name: string, image: MetadataImage): void {
    if (this.#seen.get(who) === image) return;
    this.#seen.set(who, image);
    const print = printOf(image);
    const known = this.#prints.get(image.offset) ?? print;
    this.#prints.set(image.offset, known);
    if (known !== print) {
      throw new Violation('images', 'two nodes see different metadata', { node: name, offset: image.offset });
    }
    if (image.offset > (this.#newest?.offset ?? -1)) this.#advance(image);
  }

  forget(who: object): void {
    this.#seen.delete(who);
  }

  #advance(image: MetadataImage): void {
    for (const topic of image.topics.values()) {
      const before = this.#newest?.topics.withId(topic.id);
      if (topic !== before) this.#compare(topic, before);
    }
    this.#newest = image;
    this.onNewest(image);
  }

  #compare(topic: TopicImage, before: TopicImage | undefined): void {
    topic.partitions.forEach((partition, number) => {
      const facts = { partition: `${topic.name}-${number}`, state: JSON.stringify(partition) };
      checkSets(partition, facts);
      const old = before?.partitions[number];
      if (old === undefined || old === partition) return;
      checkEpochs(partition, old, facts);
      const { leader } = partition;
      const isElected = leader !== NO_LEADER && partition.leaderEpoch > old.leaderEpoch;
      const isNext = partition.partitionEpoch === old.partitionEpoch + 1;
      const known = [...old.isr, ...old.eligibleLeaderReplicas, ...old.addingReplicas];
      // A leader that leaves admits its successor and is gone, in one change.
      const hasLeft = this.#newest?.brokers.get(old.leader)?.inControlledShutdown === true;
      // The admission that completes a reassignment takes away who asked for it, in one change.
      const isReplaced = old.removingReplicas.includes(old.leader) && !partition.replicas.includes(old.leader);
      const isClean = hasLeft || isReplaced || partition.isr.some((id) => known.includes(id));
      if (isNext && isElected && !isClean && !this.mayElectUncleanly(topic, number)) {
        throw new Violation('election', 'a replica was elected that may lack what is committed', {
          ...{ ...facts, before: JSON.stringify(old) },
        });
      }
    });
  }
}

function checkSets(partition: PartitionImage, facts: Readonly<Record<string, string>>): void {
  const { replicas, isr, leader, eligibleLeaderReplicas: elr } = partition;
  const isSound =
    [...isr, ...elr].every((id) => replicas.includes(id)) &&
    (leader === NO_LEADER || isr.includes(leader)) &&
    !elr.some((id) => isr.includes(id)) &&
    new Set(isr).size === isr.length &&
    new Set(replicas).size === replicas.length;
  if (!isSound) throw new Violation('isr', 'a partition’s sets do not fit together', facts);
}

function checkEpochs(now: PartitionImage, old: PartitionImage, facts: Readonly<Record<string, string>>): void {
  const fell = now.leaderEpoch < old.leaderEpoch || now.partitionEpoch < old.partitionEpoch;
  const isSilent = now.leader !== old.leader && now.leaderEpoch === old.leaderEpoch;
  if (fell || isSilent) {
    throw new Violation('epochs', 'a partition’s epochs do not fit its changes', {
      ...facts,
      before: JSON.stringify(old),
    });
  }
}

function printOf(image: MetadataImage): string {
  const records = [...snapshotRecords(image)].map((record) =>
    Buffer.from(internal.MetadataRecord.encode(record).finish()).toString('latin1'),
  );
  const hash = createHash('sha1');
  for (const record of records.sort()) hash.update(record, 'latin1').update('\n');
  return hash.digest('hex');
}
