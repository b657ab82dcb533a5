/** Which groups a change of the metadata can concern: most changes (leaders, ISRs) concern none. */
import type { ImageChanges, MetadataImage, TopicChange } from '@barnabas/metadata';
import type { GroupImage } from './group-image.js';
import { subscribesTo } from './subscription.js';
import type { PatternTable } from './subscription.js';

export class MetadataConcern {
  /** Undefined: any group. */
  readonly #topicNames: readonly string[] | undefined;

  /** Without changes everything may have changed. */
  constructor(
    private readonly image: MetadataImage,
    changes: ImageChanges | undefined,
  ) {
    const isAnyGroup = changes === undefined || changes.removedTopics.size > 0 || hasMovedRack(image, changes);
    this.#topicNames = isAnyGroup
      ? undefined
      : changes.changedTopics.filter(isOfInterest).map(({ topic }) => topic.name);
  }

  get isNone(): boolean {
    return this.#topicNames?.length === 0;
  }

  touches(group: GroupImage, patterns: PatternTable): boolean {
    const names = this.#topicNames;
    if (names === undefined) return true;
    for (const member of group.members.values()) {
      if (names.some((name) => subscribesTo(member, name, this.image, patterns))) return true;
    }
    return false;
  }
}

/** New, of another size, or with replicas elsewhere. */
function isOfInterest({ topic, previous }: TopicChange): boolean {
  if (previous === undefined || previous.partitions.length !== topic.partitions.length) return true;
  return topic.partitions.some(({ replicas }, index) => replicas !== previous.partitions[index]?.replicas);
}

function hasMovedRack(image: MetadataImage, { base, changedBrokers }: ImageChanges): boolean {
  return [...changedBrokers].some((id) => image.brokers.get(id)?.rack !== base.brokers.get(id)?.rack);
}
