/**
 * What becomes of one partition when something happens to it or to its brokers: the one place where
 * ISR, eligible leader replicas (ELR, KIP-966), leader and reassignment are decided, whoever asks.
 * Pure: a state and an event give the next state. Protocol: docs/protocols/metadata.md, section 7.
 *
 * The rules, in their order:
 *   1  who does not run leaves the ISR, and so does who shuts down if enough others remain for
 *      min.insync.replicas. Nobody is known to hold everything but the ISR and the ELR; so the last
 *      members stay in the ISR by name when nobody is left who runs
 *   2  a reassignment whose target is all in sync is complete, if one of them can lead
 *   3  who leaves an ISR that is then smaller than min.insync.replicas is eligible, unless it may miss
 *      what is committed; in a larger ISR nobody is eligible
 *   4  a leader that is in the ISR and serves stays, and one that shuts down while nobody in the ISR
 *      serves; else the first replica that serves and is in the ISR leads; else the first that serves
 *      and is eligible, with an ISR of itself; else, where an unclean election is allowed, the last
 *      known leader or the first replica that serves, with an ISR of itself; else nobody
 *   5  the leader epoch grows with each change of leader, and also when a replica goes or cannot be
 *      used: nothing that a leader knows about a replica may outlive that replica's log
 *
 * Why rule 3 is sound: while any replica is eligible, or the ISR is smaller than
 * min.insync.replicas, the leader does not move the high watermark. What is committed is then what was
 * committed when the replica left, and it had that.
 *
 * Invariants of every next state (cluster-lives.property.test.ts):
 *   S1  the ISR is a subset of the replicas and not empty; a leader is in it
 *   S2  the ELR is a subset of the replicas, disjoint from the ISR, and empty while the ISR has
 *       min.insync.replicas members
 *   S3  somebody leads while a member of ISR or ELR serves and its replica can be used
 *   S4  adding and removing replicas are among the replicas; when a reassignment ends, the replicas are
 *       exactly its target, or what they were before it if it was cancelled
 */
import { assert } from '@barnabas/common';
import { NO_LEADER } from '@barnabas/metadata';
import type { PartitionImage } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';
import type { Standings } from './broker-standing.js';
import type { PartitionRules } from './topic-rules.js';

/** All replicas, and which of them a reassignment adds and takes away; as in PartitionImage. */
export type Assignment = Pick<PartitionImage, 'replicas' | 'addingReplicas' | 'removingReplicas'>;

/** A partition without its epochs. */
export type PartitionState = Omit<PartitionImage, 'leaderEpoch' | 'partitionEpoch'>;

/** What happens. Empty: only that brokers come and go. */
export interface PartitionEvent {
  /** The ISR that its leader asks for. Who is in it can be used. */
  readonly isr?: readonly number[];
  /** A reassignment begins, changes or is cancelled. */
  readonly assignment?: Assignment;
  /** The replica of this broker, which does not run, may miss what is committed. */
  readonly mayMissRecords?: number;
  /** This broker cannot use its replica. */
  readonly offline?: number;
  /** This broker has started anew: its replica may be tried again. */
  readonly restarted?: number;
  /** The preferred leader is to lead if it is in sync; or anybody, if nobody leads. */
  readonly election?: 'preferred' | 'unclean';
}

export interface PartitionSurroundings {
  readonly standings: Standings;
  readonly rules: PartitionRules;
  /** metadata.version lets the log say who led last. */
  readonly remembersLeaders: boolean;
}

export interface PartitionChange {
  readonly next: PartitionState;
  /** A new leader epoch begins. */
  readonly newLeaderEpoch: boolean;
}

/** The replicas that a partition is to have when a reassignment under way is over. */
export function targetOf({ replicas, removingReplicas }: Assignment): readonly number[] {
  return removingReplicas.length === 0 ? replicas : replicas.filter((id) => !removingReplicas.includes(id));
}

export function isReassigning({ addingReplicas, removingReplicas }: Assignment): boolean {
  return addingReplicas.length > 0 || removingReplicas.length > 0;
}

export function changePartition(
  partition: PartitionState,
  event: PartitionEvent,
  surroundings: PartitionSurroundings,
): PartitionChange {
  const transition = new Transition(partition, event, surroundings);
  const next = transition.next();
  assert(next.isr.length > 0, 'an ISR is never empty', { isr: partition.isr.join(), event: JSON.stringify(event) });
  const newLeaderEpoch =
    next.leader !== partition.leader ||
    partition.replicas.some((id) => !next.replicas.includes(id)) ||
    // A replica that its leader may still believe in. Without a new epoch:
    //   1. B2's replica has everything but is out of the ISR; B1 leads and knows its log end.
    //   2. B2 finds its log corrupt, reports it, and deletes it, since the ISR does not have it.
    //   3. B1, on what it knew before, asks for B2 to join the ISR, and it does: an empty log.
    (event.offline !== undefined && partition.leader !== NO_LEADER);
  return { next, newLeaderEpoch };
}

class Transition {
  /** Replicas that must not lead cleanly again on what they were believed to have. */
  readonly #suspect: ReadonlySet<number>;

  constructor(
    private readonly partition: PartitionState,
    private readonly event: PartitionEvent,
    private readonly surroundings: PartitionSurroundings,
  ) {
    this.#suspect = new Set([event.mayMissRecords, event.offline].filter((id) => id !== undefined));
  }

  next(): PartitionState {
    const assignment = this.event.assignment ?? this.partition;
    const settled = this.#settle(assignment);
    if (!isReassigning(assignment) || settled.leader === NO_LEADER) return settled;
    const target = targetOf(assignment);
    const isComplete = (inSync: readonly number[]) => target.every((id) => inSync.includes(id));
    if (isComplete(this.#inSync(assignment))) {
      const completed = this.#settle({ replicas: target, addingReplicas: [], removingReplicas: [] });
      // Not while all of the target shut down: somebody else leads for them.
      return completed.leader === NO_LEADER ? settled : completed;
    }
    // Whoever was just elected from outside the ISR may be all of the target.
    return isComplete(settled.isr) ? new Transition(settled, {}, this.surroundings).next() : settled;
  }

  #settle(assignment: Assignment): PartitionState {
    const { replicas, addingReplicas, removingReplicas } = assignment;
    const offlineReplicas = this.#offlineOf(replicas);
    const minIsr = this.surroundings.rules.minIsr(replicas.length);
    const { isr, leader, clean } = this.#elect(assignment, minIsr);
    return {
      ...{ replicas, addingReplicas, removingReplicas, offlineReplicas, isr, leader },
      eligibleLeaderReplicas: clean ? this.#eligible(replicas, isr, minIsr) : [],
      lastKnownElr: leader === NO_LEADER ? this.#lastLeader().filter((id) => replicas.includes(id)) : [],
    };
  }

  #elect(
    assignment: Assignment,
    minIsr: number,
  ): { readonly isr: readonly number[]; readonly leader: number; readonly clean: boolean } {
    const { replicas } = assignment;
    const { standings, rules } = this.surroundings;
    const running = this.#inSync(assignment);
    const serving = running.filter((id) => standings.serves(id));
    const isr = serving.length >= minIsr ? serving : running;
    const leader = this.#leaderWithin(replicas, isr, serving);
    if (leader !== undefined) return { isr, leader, clean: true };

    const canLead = (id: number) => standings.serves(id) && !this.#isOffline(id);
    const eligible = this.#eligible(replicas, [], Infinity).filter((id) => !this.#wasInIsr(id));
    const heir = replicas.find((id) => eligible.includes(id) && canLead(id));
    if (heir !== undefined) return { isr: [heir], leader: heir, clean: true };

    if (this.event.election === 'unclean' || rules.isUncleanAllowed()) {
      const usurper = [...this.#lastLeader(), ...replicas].find((id) => replicas.includes(id) && canLead(id));
      if (usurper !== undefined) return { isr: [usurper], leader: usurper, clean: false };
    }
    return { isr: this.#lastOnes(assignment, isr, eligible), leader: NO_LEADER, clean: true };
  }

  /** Who leads of those in sync; undefined if none of them can. */
  #leaderWithin(replicas: readonly number[], isr: readonly number[], serving: readonly number[]): number | undefined {
    const { leader } = this.partition;
    const [preferred] = replicas;
    if (this.event.election === 'preferred' && preferred !== undefined && serving.includes(preferred)) return preferred;
    if (isr.includes(leader) && (serving.length === 0 || serving.includes(leader))) return leader;
    return replicas.find((id) => serving.includes(id));
  }

  /** Nobody can lead: who is known to have everything. */
  #lastOnes(assignment: Assignment, running: readonly number[], eligible: readonly number[]): readonly number[] {
    if (running.length > 0) return running;
    const asked = this.#asked(assignment);
    const trusted = asked.filter((id) => !this.#suspect.has(id) && !this.#isOffline(id));
    if (trusted.length > 0) return trusted;
    if (eligible.length === 0) return asked;
    const up = eligible.filter((id) => this.surroundings.standings.isUp(id));
    return up.length > 0 ? up : eligible;
  }

  /** Members of the ISR as it is asked for that run, and whose replicas can be used and trusted. */
  #inSync(assignment: Assignment): readonly number[] {
    const { standings } = this.surroundings;
    return this.#asked(assignment).filter((id) => standings.isUp(id) && !this.#suspect.has(id) && !this.#isOffline(id));
  }

  #asked({ replicas }: Assignment): readonly number[] {
    const isr = this.event.isr ?? this.partition.isr;
    return isr.filter((id) => replicas.includes(id));
  }

  /** Who may be eligible beside this ISR. */
  #eligible(replicas: readonly number[], isr: readonly number[], minIsr: number): readonly number[] {
    if (isr.length >= minIsr) return [];
    const { isr: before, replicas: all, eligibleLeaderReplicas } = this.partition;
    // After min.insync.replicas was lowered: the leader may have gone on without them since.
    const wasBelow = before.length < this.surroundings.rules.minIsr(all.length);
    const known = wasBelow ? [...eligibleLeaderReplicas, ...before] : before;
    return known.filter(
      (id) => replicas.includes(id) && !isr.includes(id) && !this.#suspect.has(id) && !this.#isOffline(id),
    );
  }

  #wasInIsr(id: number): boolean {
    return this.partition.isr.includes(id);
  }

  #lastLeader(): readonly number[] {
    const { leader, lastKnownElr } = this.partition;
    if (!this.surroundings.remembersLeaders) return [];
    return leader === NO_LEADER ? lastKnownElr : [leader];
  }

  #offlineOf(replicas: readonly number[]): readonly number[] {
    const { offlineReplicas } = this.partition;
    const { offline } = this.event;
    const added = offline === undefined || offlineReplicas.includes(offline) ? [] : [offline];
    return [...offlineReplicas, ...added].filter((id) => replicas.includes(id) && this.#isOffline(id));
  }

  #isOffline(id: number): boolean {
    const { offline, restarted, isr } = this.event;
    if (id === offline) return true;
    return this.partition.offlineReplicas.includes(id) && id !== restarted && isr?.includes(id) !== true;
  }
}

/** The record that makes `next` of a partition; undefined if nothing changes. */
export function changeRecord(
  at: { readonly topicId: string; readonly partition: number },
  before: PartitionState,
  { next, newLeaderEpoch }: PartitionChange,
): internal.MetadataRecord | undefined {
  const change: Partial<internal.PartitionChangeRecord> = {
    ...(newLeaderEpoch ? { leader: next.leader } : {}),
    ...difference(before, next),
  };
  if (Object.keys(change).length === 0) return undefined;
  return { record: { $case: 'partitionChange', partitionChange: { ...at, ...change } } };
}

const LISTS = [
  'replicas',
  'isr',
  'addingReplicas',
  'removingReplicas',
  'eligibleLeaderReplicas',
  'lastKnownElr',
  'offlineReplicas',
] as const;

/** The lists that differ. The order of replicas is a fact, that of other lists is not. */
function difference(before: PartitionState, next: PartitionState): Partial<internal.PartitionChangeRecord> {
  const changed = LISTS.filter((list) =>
    list === 'replicas' ? !sameOrder(before[list], next[list]) : !sameMembers(before[list], next[list]),
  );
  return Object.fromEntries(changed.map((list) => [list, { ids: [...next[list]] }]));
}

function sameOrder(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, index) => id === other[index]);
}

export function sameMembers(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id) => other.includes(id));
}
