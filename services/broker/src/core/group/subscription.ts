/**
 * What members subscribe to, seen against the metadata: topics by name and by pattern, their partitions
 * and racks, and one number that says whether any of it has changed.
 *
 * Resolved patterns are no records: pattern and metadata give them, at any coordinator. That two
 * coordinators have seen different metadata shows in the hash, which is a record: it differs, and the
 * group is assigned anew.
 */
import type { MetadataImage, TopicImage } from '@barnabas/metadata';
import { isInternalTopic } from '@barnabas/metadata';
import type { AssignorTopic } from './assignor.js';
import { sortedMembers } from './group-image.js';
import type { GroupImage, MemberImage } from './group-image.js';
import { TopicPattern } from './topic-pattern.js';

type Subscription = Pick<MemberImage, 'topicNames' | 'topicPattern'>;

/** Topics that a member's subscription means, in order of their ids. */
export interface ResolvedSubscriptions {
  readonly topicIdsOf: (member: Subscription) => ReadonlySet<string>;
  readonly topics: ReadonlyMap<string, AssignorTopic>;
  readonly hash: number;
}

/** Patterns in use, with the topics that they match in the newest image seen. */
export class PatternTable {
  readonly #patterns = new Map<string, { readonly pattern: TopicPattern; topics: ResolvedTopics }>();

  /** Throws INVALID_REGULAR_EXPRESSION. */
  check(source: string): void {
    if (!this.#patterns.has(source)) new TopicPattern(source);
  }

  topicsOf(source: string, image: MetadataImage): ReadonlySet<string> {
    let entry = this.#patterns.get(source);
    if (entry === undefined) {
      entry = { pattern: new TopicPattern(source), topics: NOTHING_RESOLVED };
      this.#patterns.set(source, entry);
    }
    entry.topics = resolved(entry.pattern, entry.topics, image);
    return entry.topics.matched;
  }

  /** Forgets patterns that nobody uses any more. */
  retain(sources: ReadonlySet<string>): void {
    for (const source of this.#patterns.keys()) if (!sources.has(source)) this.#patterns.delete(source);
  }
}

interface ResolvedTopics {
  readonly idsByName: MetadataImage['topics']['idsByName'] | undefined;
  /** Names seen, and whether they match: a name's verdict never changes. */
  readonly verdicts: ReadonlyMap<string, boolean>;
  readonly matched: ReadonlySet<string>;
}

const NOTHING_RESOLVED: ResolvedTopics = { idsByName: undefined, verdicts: new Map(), matched: new Set() };

/** Tests only names that are new. `idsByName` changes with no other event than a topic's coming or going. */
function resolved(pattern: TopicPattern, before: ResolvedTopics, { topics }: MetadataImage): ResolvedTopics {
  if (before.idsByName === topics.idsByName) return before;
  const verdicts = new Map<string, boolean>();
  const matched = new Set<string>();
  for (const name of topics.idsByName.keys()) {
    const verdict = before.verdicts.get(name) ?? (!isInternalTopic(name) && pattern.matches(name));
    verdicts.set(name, verdict);
    if (verdict) matched.add(name);
  }
  return { idsByName: topics.idsByName, verdicts, matched };
}

export function resolveSubscriptions(
  group: GroupImage,
  image: MetadataImage,
  patterns: PatternTable,
): ResolvedSubscriptions {
  const sets = new Map<string, ReadonlySet<string>>();
  const topicIdsOf = (member: Subscription): ReadonlySet<string> => {
    // Members of a group mostly subscribe alike: one set serves them all.
    const id = JSON.stringify([member.topicNames, member.topicPattern]);
    const known = sets.get(id) ?? topicIds(member, image, patterns);
    sets.set(id, known);
    return known;
  };
  const topics = new Map<string, TopicView>();
  for (const member of sortedMembers(group)) {
    for (const topicId of topicIdsOf(member)) {
      const topic = topics.has(topicId) ? undefined : image.topics.withId(topicId);
      if (topic !== undefined) topics.set(topicId, viewOf(topic, image));
    }
  }
  return { topicIdsOf, topics, hash: hashOf(topics) };
}

/** Whether a member's subscription speaks of the topic, whether the topic exists or not. */
export function subscribesTo(
  member: Subscription,
  topicName: string,
  image: MetadataImage,
  patterns: PatternTable,
): boolean {
  if (member.topicNames.includes(topicName)) return true;
  return member.topicPattern !== '' && patterns.topicsOf(member.topicPattern, image).has(topicName);
}

function topicIds(member: Subscription, image: MetadataImage, patterns: PatternTable): ReadonlySet<string> {
  const names = new Set(member.topicNames);
  if (member.topicPattern !== '') for (const name of patterns.topicsOf(member.topicPattern, image)) names.add(name);
  const ids: string[] = [];
  for (const name of names) {
    const topic = image.topics.named(name);
    if (topic !== undefined) ids.push(topic.id);
  }
  return new Set(ids.sort());
}

class TopicView implements AssignorTopic {
  readonly #racks = new Map<number, ReadonlySet<string>>();
  #hash: number | undefined;

  constructor(
    private readonly topic: TopicImage,
    readonly brokers: MetadataImage['brokers'],
  ) {}

  /** Of the count of partitions and their racks. */
  get hash(): number {
    this.#hash ??= this.#makeHash();
    return this.#hash;
  }

  get id(): string {
    return this.topic.id;
  }

  get partitions(): number {
    return this.topic.partitions.length;
  }

  racksOf(partition: number): ReadonlySet<string> {
    const known = this.#racks.get(partition);
    if (known !== undefined) return known;
    const racks = new Set<string>();
    for (const replica of this.topic.partitions[partition]?.replicas ?? []) {
      const rack = this.brokers.get(replica)?.rack;
      if (rack !== undefined && rack !== '') racks.add(rack);
    }
    this.#racks.set(partition, racks);
    return racks;
  }

  #makeHash(): number {
    const hash = new Hash();
    hash.add(`${this.partitions}\n`);
    for (let partition = 0; partition < this.partitions; partition++) {
      hash.add(`${[...this.racksOf(partition)].sort().join('\t')}\n`);
    }
    return hash.value();
  }
}

/** Topics change rarely, and groups ask for what they hold at every change of their members. */
const views = new WeakMap<TopicImage, TopicView>();

function viewOf(topic: TopicImage, image: MetadataImage): TopicView {
  const known = views.get(topic);
  if (known?.brokers === image.brokers) return known;
  const view = new TopicView(topic, image.brokers);
  views.set(topic, view);
  return view;
}

/** Of ids, counts of partitions and racks; 0 for nothing. 53 bits, so that it is a safe integer. */
function hashOf(topics: ReadonlyMap<string, TopicView>): number {
  if (topics.size === 0) return 0;
  const hash = new Hash();
  for (const id of [...topics.keys()].sort()) hash.add(`${id}\n${topics.get(id)?.hash ?? 0}\n`);
  return hash.value();
}

/** Two multiplicative hashes of 32 bits side by side, mixed at the end (cyrb53). */
class Hash {
  #high = 0xdead_beef;
  #low = 0x41c6_ce57;

  add(text: string): void {
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      this.#high = Math.imul(this.#high ^ code, 2_654_435_761);
      this.#low = Math.imul(this.#low ^ code, 1_597_334_677);
    }
  }

  value(): number {
    let [high, low] = [this.#high, this.#low];
    high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
    low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
    const value = 0x1_0000_0000 * (0x1f_ffff & low) + (high >>> 0);
    // 0 is taken: it says that nothing is subscribed to.
    return value === 0 ? 1 : value;
  }
}
