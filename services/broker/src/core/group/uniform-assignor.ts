/**
 * The uniform assignor, the default. In order of weight:
 *   1  every partition has one owner, who subscribes to its topic
 *   2  balance: nobody could take over a partition, directly or through a chain of others, from a
 *      member that has at least two more. Where all subscribe alike this is "within one".
 *   3  stickiness: a partition moves only where 1 and 2 ask for it
 *   4  racks: what must be placed goes to members in a rack that has a replica, as far as 2 allows
 *
 * How: keep what members have (as far as it exists and is subscribed to); place the rest, hardest to
 * place first, at the emptiest member that may have it, one in its rack before others; then, as long as
 * there is a chain from a fuller member to one with at least two less, shift one partition along it.
 * Each shift lowers the sum of squares of the loads, so it ends; with chains, and not only direct
 * moves, it ends in the best balance there is (a load-balancing semi-matching has no cost-reducing path).
 */
import { inOrder, topicsInOrder } from './assignor.js';
import type { Assignor, AssignorInput, AssignorMember, AssignorTopic, TargetAssignment } from './assignor.js';
import { parsePartitionKey, partitionKey } from './partition-key.js';
import type { PartitionKey } from './partition-key.js';

export const uniformAssignor: Assignor = {
  name: 'uniform',
  assign(input: AssignorInput): TargetAssignment {
    if (input.members.length === 0) return new Map();
    const board = new Board(input);
    board.keep();
    board.place();
    board.balance();
    return board.targets();
  },
};

/** A member's load while the assignment is made. */
class Share {
  readonly byTopic = new Map<string, Set<PartitionKey>>();
  load = 0;

  constructor(readonly member: AssignorMember) {}

  add(topicId: string, key: PartitionKey): void {
    const partitions = this.byTopic.get(topicId);
    if (partitions === undefined) this.byTopic.set(topicId, new Set([key]));
    else partitions.add(key);
    this.load++;
  }

  remove(topicId: string, key: PartitionKey): void {
    const partitions = this.byTopic.get(topicId);
    if (partitions?.delete(key) === true) this.load--;
    if (partitions?.size === 0) this.byTopic.delete(topicId);
  }
}

interface Unplaced {
  readonly topic: AssignorTopic;
  readonly key: PartitionKey;
  readonly racks: ReadonlySet<string>;
  /** Subscribers in one of its racks. */
  readonly local: readonly Share[];
}

/** One step of a chain: `from` gives a partition of the topic to the next. */
interface Step {
  readonly from: Share;
  readonly topicId: string;
}

class Board {
  readonly #shares: readonly Share[];
  readonly #topics: readonly AssignorTopic[];
  readonly #topicsById: ReadonlyMap<string, AssignorTopic>;
  readonly #subscribers = new Map<string, Share[]>();
  readonly #placed = new Set<PartitionKey>();
  /** What was somebody's before: the last to move. */
  readonly #kept = new Set<PartitionKey>();

  constructor(input: AssignorInput) {
    this.#shares = inOrder(input.members).map((member) => new Share(member));
    this.#topics = topicsInOrder(input);
    this.#topicsById = new Map(this.#topics.map((topic) => [topic.id, topic]));
    for (const { id } of this.#topics) {
      this.#subscribers.set(
        id,
        this.#shares.filter(({ member }) => member.topicIds.has(id)),
      );
    }
  }

  /** What exists, is subscribed to and is not another's already stays where it is. */
  keep(): void {
    for (const share of this.#shares) {
      for (const key of share.member.target) {
        const { topicId, partition } = parsePartitionKey(key);
        const topic = this.#topicsById.get(topicId);
        if (topic === undefined || partition >= topic.partitions) continue;
        if (!share.member.topicIds.has(topicId) || this.#placed.has(key)) continue;
        share.add(topicId, key);
        this.#placed.add(key);
        this.#kept.add(key);
      }
    }
  }

  place(): void {
    for (const unplaced of this.#unplaced()) {
      const subscribers = this.#subscribers.get(unplaced.topic.id) ?? [];
      const emptiest = leastLoaded(subscribers);
      const local = leastLoaded(unplaced.local);
      if (emptiest === undefined) continue;
      // One in the right rack may be a partition ahead: balance is "within one" all the same.
      const share = local !== undefined && local.load <= emptiest.load + 1 ? this.#fair(local, emptiest) : emptiest;
      share.add(unplaced.topic.id, unplaced.key);
      this.#placed.add(unplaced.key);
    }
    this.#swapIntoRacks();
  }

  balance(): void {
    for (let fullest = this.#shiftOne(); fullest; fullest = this.#shiftOne());
  }

  targets(): TargetAssignment {
    return new Map(
      this.#shares.map(({ member, byTopic }) => [
        member.id,
        new Set([...byTopic.values()].flatMap((partitions) => [...partitions])),
      ]),
    );
  }

  /** The local member if it does not go beyond what an even division gives the fullest. */
  #fair(local: Share, emptiest: Share): Share {
    return local.load < Math.max(emptiest.load + 1, this.#quota()) ? local : emptiest;
  }

  #quota(): number {
    const partitions = this.#topics.reduce((sum, topic) => sum + topic.partitions, 0);
    return Math.ceil(partitions / this.#shares.length);
  }

  /** Those with the fewest members in their racks first, then in order. */
  #unplaced(): Unplaced[] {
    const found: Unplaced[] = [];
    for (const topic of this.#topics) {
      const subscribers = this.#subscribers.get(topic.id) ?? [];
      const hasRacks = subscribers.some(({ member }) => member.rackId !== '');
      for (let partition = 0; partition < topic.partitions; partition++) {
        const key = partitionKey(topic.id, partition);
        if (this.#placed.has(key)) continue;
        const racks = hasRacks ? topic.racksOf(partition) : NO_RACKS;
        const local = racks.size === 0 ? [] : subscribers.filter(({ member }) => racks.has(member.rackId));
        found.push({ topic, key, racks, local });
      }
    }
    // Sorting is stable, so partitions alike in this stay in order.
    return found.sort((one, other) => rank(one) - rank(other));
  }

  /**
   * A partition that was placed outside its racks changes places with another new one, if that brings
   * it home and does not drive the other out: the order of placing decides less then.
   */
  #swapIntoRacks(): void {
    const fresh = this.#freshByRack();
    for (const share of this.#shares) {
      for (const key of this.#strangersOf(share)) {
        const racks = this.#racksOf(key);
        const partner = this.#partner(share, key, racks, fresh);
        if (partner === undefined) continue;
        const topicId = parsePartitionKey(key).topicId;
        const otherTopic = parsePartitionKey(partner.key).topicId;
        share.remove(topicId, key);
        partner.share.remove(otherTopic, partner.key);
        share.add(otherTopic, partner.key);
        partner.share.add(topicId, key);
      }
    }
  }

  /** New partitions of a member that are in none of their racks there, though some member is in one. */
  #strangersOf(share: Share): PartitionKey[] {
    const strangers: PartitionKey[] = [];
    for (const [topicId, partitions] of share.byTopic) {
      for (const key of partitions) {
        const racks = this.#racksOf(key);
        if (this.#kept.has(key) || racks.size === 0 || racks.has(share.member.rackId)) continue;
        if ((this.#subscribers.get(topicId) ?? []).some(({ member }) => racks.has(member.rackId))) strangers.push(key);
      }
    }
    return strangers;
  }

  #freshByRack(): ReadonlyMap<string, readonly Share[]> {
    const byRack = new Map<string, Share[]>();
    for (const share of this.#shares) {
      const { rackId } = share.member;
      byRack.set(rackId, [...(byRack.get(rackId) ?? []), share]);
    }
    return byRack;
  }

  #partner(
    share: Share,
    key: PartitionKey,
    racks: ReadonlySet<string>,
    byRack: ReadonlyMap<string, readonly Share[]>,
  ): { readonly share: Share; readonly key: PartitionKey } | undefined {
    const { topicId } = parsePartitionKey(key);
    for (const rack of [...racks].sort()) {
      for (const other of byRack.get(rack) ?? []) {
        if (other === share || !other.member.topicIds.has(topicId)) continue;
        for (const [otherTopic, partitions] of other.byTopic) {
          if (!share.member.topicIds.has(otherTopic)) continue;
          for (const candidate of partitions) {
            if (this.#kept.has(candidate)) continue;
            const homes = this.#racksOf(candidate);
            if (homes.has(share.member.rackId) || !homes.has(rack)) return { share: other, key: candidate };
          }
        }
      }
    }
    return undefined;
  }

  /** Shifts one partition from a member with at least two more than the end of the chain; false if there is none. */
  #shiftOne(): boolean {
    const byLoad = [...this.#shares].sort((one, other) => other.load - one.load);
    const lowest = byLoad.at(-1)?.load ?? 0;
    for (const share of byLoad) {
      if (share.load < lowest + 2) return false;
      const chain = this.#chainFrom(share);
      if (chain !== undefined) {
        this.#shift(chain.steps, chain.end);
        return true;
      }
    }
    return false;
  }

  /** Breadth first over members, through topics that one has and the next subscribes to: the shortest chain to the emptiest. */
  #chainFrom(start: Share): { readonly steps: readonly Step[]; readonly end: Share } | undefined {
    const cameBy = new Map<Share, Step>();
    const seenTopics = new Set<string>();
    const queue = [start];
    let level: Share[] = [];
    while (queue.length > 0) {
      level = queue.splice(0);
      let best: Share | undefined;
      for (const from of level) {
        for (const topicId of this.#topicsToGiveFrom(from)) {
          // Whoever can be reached by a partition of this topic has been, from the first who had one.
          if (seenTopics.has(topicId)) continue;
          seenTopics.add(topicId);
          for (const to of this.#subscribers.get(topicId) ?? []) {
            if (to === start || cameBy.has(to)) continue;
            cameBy.set(to, { from, topicId });
            queue.push(to);
            if (to.load <= start.load - 2 && (best === undefined || to.load < best.load)) best = to;
          }
        }
      }
      if (best !== undefined) return { steps: stepsTo(best, start, cameBy), end: best };
    }
    return undefined;
  }

  /** Those first of which a partition can go that was nobody's before: otherwise one that need not move would. */
  #topicsToGiveFrom({ byTopic }: Share): string[] {
    const topics = [...byTopic].sort(([one], [other]) => (one < other ? -1 : 1));
    const ranked = topics.map(([topicId, partitions]) => ({ topicId, isNew: this.#hasNew(partitions) }));
    return ranked.sort((one, other) => Number(other.isNew) - Number(one.isNew)).map(({ topicId }) => topicId);
  }

  #hasNew(partitions: ReadonlySet<PartitionKey>): boolean {
    for (const key of partitions) if (!this.#kept.has(key)) return true;
    return false;
  }

  #shift(steps: readonly Step[], end: Share): void {
    for (const [index, { from, topicId }] of steps.entries()) {
      const to = steps[index + 1]?.from ?? end;
      const key = this.#cheapest(from, topicId, to);
      from.remove(topicId, key);
      to.add(topicId, key);
    }
  }

  /** New ones before those somebody had; then those that get into one of their racks, or are in none now. */
  #cheapest(from: Share, topicId: string, to: Share): PartitionKey {
    let best: PartitionKey | undefined;
    let bestCost = Infinity;
    const isSameRack = to.member.rackId === from.member.rackId;
    for (const key of from.byTopic.get(topicId) ?? []) {
      const gain = isSameRack ? 0 : this.#rackGain(key, from, to);
      const cost = (this.#kept.has(key) ? 10 : 0) - gain;
      // The last of equals goes: the first partitions of a member stay.
      if (cost > bestCost) continue;
      best = key;
      bestCost = cost;
    }
    return best ?? '';
  }

  #rackGain(key: PartitionKey, from: Share, to: Share): number {
    const racks = this.#racksOf(key);
    return Number(racks.has(to.member.rackId)) - Number(racks.has(from.member.rackId));
  }

  #racksOf(key: PartitionKey): ReadonlySet<string> {
    const { topicId, partition } = parsePartitionKey(key);
    return this.#topicsById.get(topicId)?.racksOf(partition) ?? NO_RACKS;
  }
}

const NO_RACKS: ReadonlySet<string> = new Set();

function rank({ local }: Unplaced): number {
  return local.length === 0 ? Infinity : local.length;
}

/** The first of those with the least. */
function leastLoaded(shares: readonly Share[]): Share | undefined {
  let best: Share | undefined;
  for (const share of shares) if (best === undefined || share.load < best.load) best = share;
  return best;
}

function stepsTo(end: Share, start: Share, cameBy: ReadonlyMap<Share, Step>): Step[] {
  const steps: Step[] = [];
  for (let at = end; at !== start; ) {
    const step = cameBy.get(at);
    if (step === undefined) break;
    steps.unshift(step);
    at = step.from;
  }
  return steps;
}
