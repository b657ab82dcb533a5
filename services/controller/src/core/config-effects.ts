/**
 * What a change of configuration means for partitions at once, in the same decision.
 *
 * min.insync.replicas lowered: nobody stays eligible to lead (KIP-966) in an ISR that is large enough by
 * the new value. First the ELR is emptied, then the value changes:
 *   1. ISR {B1}, ELR {B2}, min.insync.replicas 2: the watermark stands still, B2 has everything.
 *   2. The value becomes 1; B1 sees it and moves the watermark without B2.
 *   3. B1 dies. If B2 were still eligible it would lead without what B1 has acknowledged.
 * A controller that dies between the two has emptied an ELR without need, which costs no record.
 *
 * unclean.leader.election.enable switched on: partitions without a leader get one.
 */
import { NO_LEADER } from '@barnabas/metadata';
import type { ConfigResource, ConfiguredBroker, MetadataImage, TopicImage } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';
import { Plan } from './decision.js';
import type { Unit } from './decision.js';
import { PartitionElections, changePartitions } from './leader-election.js';

export function planConfigChange(
  plan: Plan,
  resource: ConfigResource,
  records: readonly internal.MetadataRecord[],
  defaults: ConfiguredBroker,
): void {
  const keys = new Set(records.map(({ record }) => (record?.$case === 'config' ? record.config.key : '')));
  if (keys.has('min.insync.replicas')) plan.addAll(lostEligibility(plan.image, resource, records, defaults));
  plan.add(records);
  if (!keys.has('unclean.leader.election.enable')) return;
  changePartitions(plan, defaults, ({ topic, partition }) =>
    partition.leader === NO_LEADER && concerns(resource, topic) ? {} : undefined,
  );
}

/** One broker's own value says nothing about topics: its leaders go by it, elections do not. */
function concerns({ type, name }: ConfigResource, topic: TopicImage): boolean {
  return type === 'topic' ? topic.name === name : name === '';
}

/** Records that empty the ELRs which the change leaves without a reason. */
function lostEligibility(
  image: MetadataImage,
  resource: ConfigResource,
  records: readonly internal.MetadataRecord[],
  defaults: ConfiguredBroker,
): Unit[] {
  const changed = new Plan(image);
  changed.add(records);
  const elections = new PartitionElections(changed.image, defaults);
  const units: Unit[] = [];
  for (const topic of topicsOf(image, resource)) {
    for (const [partition, { isr, replicas, eligibleLeaderReplicas }] of topic.partitions.entries()) {
      if (eligibleLeaderReplicas.length === 0 || isr.length < elections.rulesOf(topic).minIsr(replicas.length))
        continue;
      const none = { topicId: topic.id, partition, eligibleLeaderReplicas: { ids: [] } };
      units.push([{ record: { $case: 'partitionChange', partitionChange: none } }]);
    }
  }
  return units;
}

function topicsOf(image: MetadataImage, { type, name }: ConfigResource): Iterable<TopicImage> {
  if (type === 'broker') return name === '' ? image.topics.values() : [];
  const topic = image.topics.named(name);
  return topic === undefined ? [] : [topic];
}
