/**
 * Who leads a partition and who is in sync when brokers come and go.
 *
 * The rule, for one partition:
 *   1  who no longer serves leaves the ISR, unless nobody would be left: the last ones stay in it,
 *      since they alone are known to hold everything
 *   2  a leader that serves stays
 *   3  else the first replica that serves and is in the ISR leads
 *   4  else, where unclean.leader.election.enable, the first replica that serves leads with an ISR of
 *      itself; records that only others held are lost
 *   5  else nobody leads until one of the ISR is back
 *
 * "Serves" means neither fenced nor in controlled shutdown, so that one rule moves leaderships away
 * from brokers that die and from those that want to stop, and gives them back.
 */
import { NO_LEADER, effectiveTopicValue } from '@barnabas/metadata';
import type { BrokerImage, ConfiguredBroker, MetadataImage, PartitionImage, TopicImage } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';
import type { Plan, Unit } from './decision.js';

export function serves(broker: BrokerImage | undefined): boolean {
  return broker !== undefined && !broker.fenced && !broker.inControlledShutdown;
}

/** Leader and ISR that a partition should have. */
export interface Leadership {
  readonly leader: number;
  readonly isr: readonly number[];
}

export function elect(
  partition: Pick<PartitionImage, 'replicas' | 'isr' | 'leader'>,
  isServing: (broker: number) => boolean,
  uncleanAllowed: () => boolean,
): Leadership {
  const remaining = partition.isr.filter(isServing);
  const isr = remaining.length === 0 ? partition.isr : remaining;
  if (isr.includes(partition.leader) && isServing(partition.leader)) return { leader: partition.leader, isr };
  const inSync = partition.replicas.find((replica) => isServing(replica) && isr.includes(replica));
  if (inSync !== undefined) return { leader: inSync, isr };
  const outOfSync = partition.replicas.find(isServing);
  if (outOfSync !== undefined && uncleanAllowed()) return { leader: outOfSync, isr: [outOfSync] };
  return { leader: NO_LEADER, isr };
}

/**
 * Plans what the brokers of `plan.image` make necessary for the partitions that `concerns` picks.
 * Goes through all partitions: coming and going of brokers is rare, and 100,000 partitions take
 * milliseconds, while an index of who holds what would cost at every change.
 */
export function reelect(
  plan: Plan,
  defaults: ConfiguredBroker,
  concerns: (partition: PartitionImage) => boolean,
): void {
  const { image } = plan;
  const serving = new Set([...image.brokers.values()].filter(serves).map(({ id }) => id));
  const units: Unit[] = [];
  for (const topic of image.topics.values()) {
    for (const [number, partition] of topic.partitions.entries()) {
      if (!concerns(partition)) continue;
      const change = changeOf(image, topic, partition, serving, defaults);
      if (change !== undefined) units.push([changeRecord(topic, number, change)]);
    }
  }
  plan.addAll(units);
}

type Change = Pick<internal.PartitionChangeRecord, 'leader' | 'isr'>;

function changeOf(
  image: MetadataImage,
  topic: TopicImage,
  partition: PartitionImage,
  serving: ReadonlySet<number>,
  defaults: ConfiguredBroker,
): Change | undefined {
  const isUncleanAllowed = () => effectiveTopicValue(image, topic.name, 'unclean.leader.election.enable', defaults);
  const { leader, isr } = elect(partition, (id) => serving.has(id), isUncleanAllowed);
  const sameIsr = isr.length === partition.isr.length && isr.every((id, index) => id === partition.isr[index]);
  if (leader === partition.leader && sameIsr) return undefined;
  return {
    ...(leader === partition.leader ? {} : { leader }),
    ...(sameIsr ? {} : { isr: { ids: [...isr] } }),
  };
}

function changeRecord(topic: TopicImage, partition: number, change: Change): internal.MetadataRecord {
  return { record: { $case: 'partitionChange', partitionChange: { topicId: topic.id, partition, ...change } } };
}
