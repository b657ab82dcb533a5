/**
 * Where the replicas of new partitions go. Greedy, one replica after another, each time to the
 * broker that is best by, in this order:
 *   1  it serves (fenced brokers are used only when those that serve are too few)
 *   2  its rack has the fewest replicas of this partition
 *   3  its rack has the fewest replicas per broker
 *   4  it has the fewest replicas
 *   5  chance
 * Among the chosen that serve, the one that leads least becomes preferred leader.
 *
 * What follows from it (replica-placement.test.ts):
 *   R1  replicas of a partition are on different brokers, and on different racks while there are enough
 *   R2  with equally large racks, or without any, brokers differ by at most one replica
 *   R3  the preferred leader serves
 * Brokers without a rack share one. Chance mixes which brokers share partitions, so that when one
 * dies its load goes to many.
 */
import type { Random } from '@barnabas/common';

export interface PlacementBroker {
  readonly id: number;
  /** Empty for none. */
  readonly rack: string;
  /** Neither fenced nor shutting down. */
  readonly serving: boolean;
}

export interface PlacementRequest {
  readonly brokers: readonly PlacementBroker[];
  readonly partitions: number;
  /** At most the number of brokers; at least one of them serves. */
  readonly replicationFactor: number;
  readonly random: Random;
  /** Replica lists that these brokers hold already and that count for evenness. */
  readonly existing?: readonly (readonly number[])[];
}

interface Rack {
  readonly brokers: number;
  replicas: number;
}

interface Candidate extends PlacementBroker {
  readonly home: Rack;
  replicas: number;
  leaders: number;
}

/** One replica list for each partition, the preferred leader first. */
export function placeReplicas(request: PlacementRequest): number[][] {
  const candidates = candidatesOf(request.brokers);
  for (const replicas of request.existing ?? []) countExisting(candidates, replicas);
  return Array.from({ length: request.partitions }, () => placePartition(candidates, request));
}

export interface MoverOptions {
  /** Those that may take replicas. */
  readonly brokers: readonly PlacementBroker[];
  /** The topic's replica lists, for evenness. */
  readonly existing: readonly (readonly number[])[];
  readonly random: Random;
}

/** Finds other places for replicas that must leave where they are, by the same order of preference. */
export class ReplicaMover {
  readonly #candidates: readonly Candidate[];

  constructor(private readonly options: MoverOptions) {
    this.#candidates = candidatesOf(options.brokers);
    for (const replicas of options.existing) countExisting(this.#candidates, replicas);
  }

  /**
   * The list with another broker that serves in the place of each that leaves; undefined if there are
   * too few.
   */
  move(replicas: readonly number[], leaving: readonly number[]): readonly number[] | undefined {
    const moved = [...replicas];
    for (const [index, id] of replicas.entries()) {
      if (!leaving.includes(id)) continue;
      const chosen = this.#candidates.filter((candidate) => moved.includes(candidate.id) && candidate.id !== id);
      const free = this.#candidates.filter(
        (candidate) => candidate.serving && !moved.includes(candidate.id) && !leaving.includes(candidate.id),
      );
      const best = pick(free, (candidate) => rankFor(candidate, chosen), this.options.random);
      if (best === undefined) return undefined;
      moved[index] = best.id;
    }
    for (const candidate of this.#candidates) {
      if (moved.includes(candidate.id) && !replicas.includes(candidate.id)) take(candidate);
      if (replicas.includes(candidate.id) && !moved.includes(candidate.id)) giveBack(candidate);
    }
    return moved;
  }
}

function candidatesOf(brokers: readonly PlacementBroker[]): readonly Candidate[] {
  const sizes = new Map<string, number>();
  for (const { rack } of brokers) sizes.set(rack, (sizes.get(rack) ?? 0) + 1);
  const racks = new Map([...sizes].map(([name, size]): [string, Rack] => [name, { brokers: size, replicas: 0 }]));
  return brokers.map((broker) => {
    const home = racks.get(broker.rack) ?? { brokers: 1, replicas: 0 };
    return { ...broker, home, replicas: 0, leaders: 0 };
  });
}

function countExisting(candidates: readonly Candidate[], replicas: readonly number[]): void {
  for (const candidate of candidates) {
    if (replicas.includes(candidate.id)) take(candidate);
    if (replicas[0] === candidate.id) candidate.leaders++;
  }
}

function take(candidate: Candidate): void {
  candidate.replicas++;
  candidate.home.replicas++;
}

function giveBack(candidate: Candidate): void {
  candidate.replicas--;
  candidate.home.replicas--;
}

function placePartition(candidates: readonly Candidate[], { replicationFactor, random }: PlacementRequest): number[] {
  const chosen: Candidate[] = [];
  while (chosen.length < replicationFactor) {
    const free = candidates.filter((candidate) => !chosen.includes(candidate));
    const best = pick(free, (candidate) => rankFor(candidate, chosen), random);
    if (best === undefined) break;
    take(best);
    chosen.push(best);
  }
  const leader = pick(chosen, ({ serving, leaders }) => [serving ? 0 : 1, leaders], random);
  if (leader === undefined) return [];
  leader.leaders++;
  return [leader.id, ...chosen.filter((candidate) => candidate !== leader).map(({ id }) => id)];
}

/** Smaller is better, first number first. */
function rankFor({ serving, home, replicas }: Candidate, chosen: readonly Candidate[]): readonly number[] {
  const inRack = chosen.filter((other) => other.home === home).length;
  return [serving ? 0 : 1, inRack, home.replicas / home.brokers, replicas];
}

/** The candidate of the smallest rank; chance decides among equals. */
function pick(
  candidates: readonly Candidate[],
  rankOf: (candidate: Candidate) => readonly number[],
  random: Random,
): Candidate | undefined {
  let best: Candidate | undefined;
  let bestRank: readonly number[] = [];
  let equals = 0;
  for (const candidate of candidates) {
    const rank = rankOf(candidate);
    const order = best === undefined ? -1 : compare(rank, bestRank);
    if (order > 0) continue;
    equals = order < 0 ? 1 : equals + 1;
    if (order < 0 || random.below(equals) === 0) {
      best = candidate;
      bestRank = rank;
    }
  }
  return best;
}

function compare(one: readonly number[], other: readonly number[]): number {
  for (const [index, value] of one.entries()) {
    const difference = value - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
