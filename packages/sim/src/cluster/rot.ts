/**
 * A stored byte changes by itself, in one replica of a partition all of whose replicas are in sync: the
 * others have what it loses. Not in the last entry: a log takes damage at its very end for a torn write, and
 * cuts it off. Nor in a batch's leader epoch, which its CRC does not cover (a batch's place is checked
 * otherwise): nobody would notice.
 */
import type { Cluster } from './cluster.js';

/** Bytes of a stored batch. */
const LEADER_EPOCH = { from: 12, to: 16 };

export function rot(cluster: Cluster): void {
  const { dice, brokers, image, truth, trace, tally } = cluster;
  const { topic, partition } = dice.pick(cluster.partitions());
  const { id: topicId = '' } = image?.topics.named(topic) ?? {};
  const { replicas = [], isr = [] } = image?.topics.partition(topicId, partition) ?? {};
  if (replicas.length < 2 || isr.length < replicas.length || truth.isAnyRotten(topicId, partition)) return;
  const broker = brokers[dice.pick(replicas) - 1];
  const files = broker?.disk.files;
  const location = files?.locations().find((one) => one.endsWith(`-${partition}.${topicId}`));
  const file = location === undefined ? undefined : files?.disk(location);
  const entries = file?.synced.range({ chunkBytes: 1 }).slice(0, -1) ?? [];
  if (broker === undefined || entries.length === 0) return;
  trace.note(`  ${topic}-${partition} of ${broker.name} rots`);
  tally.count('logs that rotted');
  truth.replica(broker.id, topicId, partition).rots();
  file?.corrupt(dice.pick(entries).key, (value) => {
    const at = dice.below(value.length);
    if (at < LEADER_EPOCH.from || at >= LEADER_EPOCH.to) value[at] = (value[at] ?? 0) ^ (1 << dice.below(8));
    return value;
  });
}
