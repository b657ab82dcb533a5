/**
 * Where replicas should be, for `barnabas reassign generate`: on the brokers allowed, even, spread over
 * racks, and with as few replicas moved as that takes. Pure: the same cluster gives the same plan.
 *
 * What holds of every plan:
 *   R1  a partition has the replicas wanted, all on different brokers, all of them allowed
 *   R2  a rack holds no more replicas of a partition than it must: racks differ by one, as far as their sizes allow
 *   R3  no replica can be moved from one broker to another that has two fewer, within R1 and R2; with one
 *       rack, or none, brokers therefore differ by one replica at most
 *   R4  the same for preferred leaders, among the replicas of each partition
 *   R5  planning what has been planned changes nothing, and neither does planning what already holds R2 to R4
 *
 * Even means: of the partitions that are planned. Others are not looked at.
 */

export interface PlannedBroker {
  readonly id: number;
  /** Empty if it has none: then it counts as on a rack with all others that have none. */
  readonly rack: string;
}

export interface PartitionReplicas {
  readonly topic: string;
  readonly partition: number;
  /** Broker ids, the preferred leader first. */
  readonly replicas: readonly number[];
}

export interface PlanOptions {
  /** The brokers that may hold replicas; at least as many as replicas are wanted. */
  readonly brokers: readonly PlannedBroker[];
  /** Undefined: as many as each partition has. */
  readonly replicationFactor?: number | undefined;
}

/** The whole plan, in the order of the partitions; those that need no change are in it as they are. */
export function planReassignment(
  partitions: readonly PartitionReplicas[],
  options: PlanOptions,
): readonly PartitionReplicas[] {
  const planner = new Planner(options.brokers);
  const drafts = partitions.map(({ topic, partition, replicas }) => {
    return planner.add(topic, partition, replicas, options.replicationFactor ?? replicas.length);
  });
  planner.fill(drafts);
  planner.balance(drafts);
  balanceLeaders(drafts, partitions);
  return drafts.map(({ topic, partition, replicas }) => ({ topic, partition, replicas: [...replicas] }));
}

interface Draft {
  readonly topic: string;
  readonly partition: number;
  readonly wanted: number;
  /** The most replicas that each rack may hold. */
  readonly rackLimits: ReadonlyMap<string, number>;
  replicas: number[];
}

class Planner {
  readonly #racks: ReadonlyMap<number, string>;
  readonly #rackSizes = new Map<string, number>();
  /** Replicas on each broker; brokers in the order of their ids. */
  readonly #loads: Map<number, number>;
  readonly #limits = new Map<number, ReadonlyMap<string, number>>();

  constructor(brokers: readonly PlannedBroker[]) {
    const sorted = [...brokers].sort((one, other) => one.id - other.id);
    this.#racks = new Map(sorted.map(({ id, rack }) => [id, rack]));
    this.#loads = new Map(sorted.map(({ id }) => [id, 0]));
    for (const rack of this.#racks.values()) this.#rackSizes.set(rack, (this.#rackSizes.get(rack) ?? 0) + 1);
  }

  /** Takes over what may stay: on brokers allowed, within what each rack may hold, no more than wanted. */
  add(topic: string, partition: number, replicas: readonly number[], wanted: number): Draft {
    const rackLimits = this.#rackLimits(wanted);
    const draft: Draft = { topic, partition, wanted, rackLimits, replicas: [] };
    for (const id of new Set(replicas)) {
      if (draft.replicas.length < wanted && this.#mayAdd(draft, id)) this.#place(draft, id);
    }
    return draft;
  }

  /** Gives every partition the replicas that it lacks, each to the broker with fewest. */
  fill(drafts: readonly Draft[]): void {
    for (const draft of drafts) {
      while (draft.replicas.length < draft.wanted) {
        const next = this.#leastLoaded((id) => this.#mayAdd(draft, id));
        // R2: the limits of racks add up to what is wanted, and none is above its rack's size.
        if (next === undefined) throw new Error(`too few brokers for ${draft.wanted} replicas`);
        this.#place(draft, next);
      }
    }
  }

  /** Moves single replicas from full brokers to emptier ones while that makes them more even. */
  balance(drafts: readonly Draft[]): void {
    const byBroker = new Map<number, Set<Draft>>([...this.#loads.keys()].map((id) => [id, new Set()]));
    for (const draft of drafts) for (const id of draft.replicas) byBroker.get(id)?.add(draft);
    while (this.#moveOne(byBroker));
  }

  #moveOne(byBroker: ReadonlyMap<number, Set<Draft>>): boolean {
    const byLoad = [...this.#loads].sort(([, one], [, other]) => other - one);
    for (const [from, fromLoad] of byLoad) {
      for (const [to, toLoad] of byLoad.toReversed()) {
        if (fromLoad - toLoad < 2) break;
        const held = byBroker.get(from);
        const draft = this.#movable(held ?? new Set(), from, to);
        if (draft === undefined) continue;
        this.#move(draft, from, to);
        held?.delete(draft);
        byBroker.get(to)?.add(draft);
        return true;
      }
    }
    return false;
  }

  /** A follower's place rather than a preferred leader's, since clients need not notice then. */
  #movable(held: ReadonlySet<Draft>, from: number, to: number): Draft | undefined {
    let leader: Draft | undefined;
    for (const draft of held) {
      if (!this.#mayMove(draft, from, to)) continue;
      if (draft.replicas[0] !== from) return draft;
      leader ??= draft;
    }
    return leader;
  }

  #mayMove(draft: Draft, from: number, to: number): boolean {
    if (draft.replicas.includes(to)) return false;
    return this.#rackOf(from) === this.#rackOf(to) || this.#hasRoom(draft, this.#rackOf(to));
  }

  #move(draft: Draft, from: number, to: number): void {
    draft.replicas = draft.replicas.map((id) => (id === from ? to : id));
    this.#count(from, -1);
    this.#count(to, 1);
  }

  #mayAdd(draft: Draft, id: number): boolean {
    return this.#racks.has(id) && !draft.replicas.includes(id) && this.#hasRoom(draft, this.#rackOf(id));
  }

  #hasRoom({ replicas, rackLimits }: Draft, rack: string): boolean {
    return replicas.filter((id) => this.#rackOf(id) === rack).length < (rackLimits.get(rack) ?? 0);
  }

  #place(draft: Draft, id: number): void {
    draft.replicas.push(id);
    this.#count(id, 1);
  }

  #count(id: number, change: number): void {
    this.#loads.set(id, (this.#loads.get(id) ?? 0) + change);
  }

  #leastLoaded(allowed: (id: number) => boolean): number | undefined {
    let best: number | undefined;
    for (const [id, load] of this.#loads) {
      if (allowed(id) && (best === undefined || load < (this.#loads.get(best) ?? 0))) best = id;
    }
    return best;
  }

  #rackOf(id: number): string {
    return this.#racks.get(id) ?? '';
  }

  /** R2: the lowest level up to which racks must be filled for so many replicas. */
  #rackLimits(wanted: number): ReadonlyMap<string, number> {
    const known = this.#limits.get(wanted);
    if (known !== undefined) return known;
    let level = 0;
    const room = () => [...this.#rackSizes.values()].reduce((sum, size) => sum + Math.min(size, level), 0);
    while (room() < wanted && level < this.#racks.size) level++;
    const limits = new Map([...this.#rackSizes].map(([rack, size]) => [rack, Math.min(size, level)]));
    this.#limits.set(wanted, limits);
    return limits;
  }
}

/** R4: changes the order of replicas only, which moves no data. */
function balanceLeaders(drafts: readonly Draft[], before: readonly PartitionReplicas[]): void {
  // Whoever led before goes on leading, if it still has a replica.
  drafts.forEach((draft, index) => {
    const leader = before[index]?.replicas[0];
    if (leader !== undefined && draft.replicas.includes(leader)) putFirst(draft, leader);
  });
  const leads = new Map<number, number>();
  const leadsOf = (id: number | undefined) => (id === undefined ? 0 : (leads.get(id) ?? 0));
  for (const { replicas } of drafts) if (replicas[0] !== undefined) leads.set(replicas[0], leadsOf(replicas[0]) + 1);
  for (let changed = true; changed; ) {
    changed = false;
    for (const draft of drafts) {
      const [leader, ...others] = draft.replicas;
      const [best] = others.sort((one, other) => leadsOf(one) - leadsOf(other) || one - other);
      if (leader === undefined || best === undefined || leadsOf(leader) - leadsOf(best) < 2) continue;
      leads.set(leader, leadsOf(leader) - 1).set(best, leadsOf(best) + 1);
      putFirst(draft, best);
      changed = true;
    }
  }
}

function putFirst(draft: Draft, leader: number): void {
  if (draft.replicas[0] !== leader) draft.replicas = [leader, ...draft.replicas.filter((id) => id !== leader)];
}

/** Replicas that a plan moves: those on brokers where there was none. */
export function movedReplicas(before: readonly PartitionReplicas[], after: readonly PartitionReplicas[]): number {
  const old = new Map(before.map((one) => [`${one.partition}/${one.topic}`, one.replicas]));
  let moved = 0;
  for (const { topic, partition, replicas } of after) {
    const had = old.get(`${partition}/${topic}`) ?? [];
    moved += replicas.filter((id) => !had.includes(id)).length;
  }
  return moved;
}
