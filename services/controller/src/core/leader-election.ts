/**
 * Elections and everything else that happens to many partitions at once, planned in one decision. What
 * becomes of each is said in partition-change.ts.
 */
import { METADATA_VERSION, REPLICATION_METADATA_VERSION } from '@barnabas/metadata';
import type { ConfiguredBroker, MetadataImage, PartitionImage, TopicImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { standingsOf } from './broker-standing.js';
import type { Standings } from './broker-standing.js';
import type { Plan, Unit } from './decision.js';
import { changePartition, changeRecord } from './partition-change.js';
import type { PartitionEvent } from './partition-change.js';
import { TopicRules } from './topic-rules.js';

/** A partition and where it belongs. */
export interface PartitionAt {
  readonly topic: TopicImage;
  readonly number: number;
  readonly partition: PartitionImage;
}

/** Whether the metadata log may hold what replication needs. */
export function isReplicationServed(image: MetadataImage): boolean {
  return (image.features.get(METADATA_VERSION) ?? 0) >= REPLICATION_METADATA_VERSION;
}

/** Throws UNSUPPORTED_VERSION. */
export function checkReplicationServed(image: MetadataImage): void {
  if (isReplicationServed(image)) return;
  throw new BarnabasError(
    'UNSUPPORTED_VERSION',
    `replication needs metadata.version ${REPLICATION_METADATA_VERSION}: raise it with UpdateFeatures`,
  );
}

/** What partitions of one image become, with whatever they have in common looked up once. */
export class PartitionElections {
  readonly standings: Standings;
  readonly #rules = new Map<string, TopicRules>();
  readonly #remembersLeaders: boolean;

  constructor(
    private readonly image: MetadataImage,
    private readonly defaults: ConfiguredBroker,
  ) {
    this.standings = standingsOf(image);
    this.#remembersLeaders = isReplicationServed(image);
  }

  rulesOf({ name }: TopicImage): TopicRules {
    const known = this.#rules.get(name);
    if (known !== undefined) return known;
    const rules = new TopicRules(this.image, name, this.defaults);
    this.#rules.set(name, rules);
    return rules;
  }

  /** The record that follows from the event; undefined if nothing changes. */
  change({ topic, number, partition }: PartitionAt, event: PartitionEvent): internal.MetadataRecord | undefined {
    const { standings } = this;
    const surroundings = { standings, rules: this.rulesOf(topic), remembersLeaders: this.#remembersLeaders };
    const change = changePartition(partition, event, surroundings);
    return changeRecord({ topicId: topic.id, partition: number }, partition, change);
  }
}

/**
 * Plans what happens to those partitions of `plan.image` for which there is an event.
 * Goes through all partitions: coming and going of brokers is rare, and 100,000 partitions take
 * milliseconds, while an index of who holds what would cost at every change.
 */
export function changePartitions(
  plan: Plan,
  defaults: ConfiguredBroker,
  eventOf: (at: PartitionAt, elections: PartitionElections) => PartitionEvent | undefined,
): void {
  const elections = new PartitionElections(plan.image, defaults);
  const units: Unit[] = [];
  for (const topic of plan.image.topics.values()) {
    for (const [number, partition] of topic.partitions.entries()) {
      const at = { topic, number, partition };
      const event = eventOf(at, elections);
      const record = event === undefined ? undefined : elections.change(at, event);
      if (record !== undefined) units.push([record]);
    }
  }
  plan.addAll(units);
}

/** What brokers' coming and going makes of the partitions that `concerns` picks. */
export function reelect(
  plan: Plan,
  defaults: ConfiguredBroker,
  concerns: (partition: PartitionImage) => boolean,
): void {
  changePartitions(plan, defaults, ({ partition }) => (concerns(partition) ? {} : undefined));
}
