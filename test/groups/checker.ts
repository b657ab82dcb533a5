/**
 * Judges what members of a group were given and committed. Pure; events go in as they come.
 *
 *   lost                    acknowledged to its writer, and given to no member
 *   unsent                  given to a member, and never sent, or sent to another partition
 *   inconsistent            two values at one offset
 *   duplicate-write         one value at two offsets
 *   not-owned               given to a member that was not assigned the partition, or had given it up
 *   skipped, out-of-order   the offsets of one assignment do not follow each other
 *   committed-backwards     a committed offset is lower than before
 *   committed-unseen        committed beyond what members have printed
 *   begun-behind-commit     a member begins below what was committed before
 *   needless-repeat         records given twice although the owner before gave the partition up in good order and
 *                           no node was in trouble: whoever leaves in good order commits what it is done with
 *   two-owners              the coordinator says that two members own one partition
 *   fenced-goes-on          the coordinator has long said that somebody else owns the partition, nothing stands in
 *                           the member's way, and it is given records still
 *   committed-by-fenced     committed beyond what owners have printed: by a member that had been one before
 *
 * Records may be given twice where an owner was killed or fenced or could not be reached, or a node was down
 * as a partition changed hands: at most what had been printed of it and was not committed. Both numbers are
 * counted for each change of hands.
 *
 * A member that stood still or was cut off goes on where it was until it hears that it was fenced. What it is
 * given meanwhile is counted, and nothing of it counts for an owner: who owns a partition is what the
 * coordinator says.
 *
 * Relies on: logs that begin with offset 0 and have no gaps, one group that begins with the first record, and
 * members that print a record before they acknowledge it.
 */
import { handOversOf } from './hand-overs.js';
import type { Assignment, HandOver } from './hand-overs.js';
import type { GroupEvent, Written } from './history.js';
import { Troubles } from './troubles.js';

export const ANOMALIES = [
  'lost',
  'unsent',
  'inconsistent',
  'duplicate-write',
  'not-owned',
  'skipped',
  'out-of-order',
  'committed-backwards',
  'committed-unseen',
  'begun-behind-commit',
  'needless-repeat',
  'two-owners',
  'fenced-goes-on',
  'committed-by-fenced',
] as const;
export type AnomalyKind = (typeof ANOMALIES)[number];

export interface Anomaly {
  readonly kind: AnomalyKind;
  readonly detail: string;
}

export interface Verdict {
  readonly anomalies: readonly Anomaly[];
  readonly handOvers: readonly HandOver[];
  /** Records that members were given after the coordinator had said that somebody else owns the partition. */
  readonly givenToFenced: number;
}

interface Partition {
  readonly assignments: Assignment[];
  /** Those that may have committed since the observer last asked. */
  owning: Assignment[];
  /** Of each offset that was printed. */
  readonly valueAt: number[];
  /** Everything below has been printed. */
  printedUntil: number;
  committed: number;
}

export class GroupChecker {
  readonly #partitions: readonly Partition[];
  /** What each member owns. */
  readonly #owned = new Map<string, Map<number, Assignment>>();
  readonly #killedAtMs = new Map<string, number>();
  readonly #offsetOf = new Map<number, readonly [partition: number, offset: number]>();
  readonly #troubles = new Troubles();
  readonly #anomalies: Anomaly[] = [];
  #givenToFenced = 0;

  constructor(partitions: number) {
    this.#partitions = Array.from({ length: partitions }, () => ({
      assignments: [],
      owning: [],
      valueAt: [],
      printedUntil: 0,
      committed: 0,
    }));
  }

  /** Everything below has been given to members, by partition. */
  get printedUntil(): readonly number[] {
    return this.#partitions.map(({ printedUntil }) => printedUntil);
  }

  get committed(): readonly number[] {
    return this.#partitions.map(({ committed }) => committed);
  }

  /** Records printed by a member's assignments that are not known to be committed. */
  inFlightOf(member: string): number {
    let records = 0;
    for (const { partition, next } of this.#owned.get(member)?.values() ?? []) {
      records += Math.max(0, next - this.#partition(partition).committed);
    }
    return records;
  }

  observe(event: GroupEvent): void {
    switch (event.kind) {
      case 'assigned':
        this.#assigned(event);
        return;
      case 'revoked':
      case 'lost':
        this.#gone(event);
        return;
      case 'record':
        this.#record(event);
        return;
      case 'committed':
        this.#committed(event);
        return;
      case 'kill':
        this.#killedAtMs.set(event.member, event.atMs);
        return;
      case 'owners':
        for (const [partition, memberIds] of event.owners) this.#owners(partition, memberIds, event);
        return;
      case 'fault':
        this.#troubles.nodeBegins(event.node, event.atMs);
        return;
      case 'fault-over':
        this.#troubles.nodeEnds(event.node, event.atMs);
        return;
      case 'hindered':
        this.#troubles.memberBegins(event.member, event.atMs);
        return;
      case 'free':
        this.#troubles.memberEnds(event.member, event.atMs);
        return;
      case 'stop':
      case 'exit':
    }
  }

  finish(written: Iterable<Written>): Verdict {
    const partitionOf = new Map<number, number>();
    for (const { value, partition, isAcknowledged, offset } of written) {
      partitionOf.set(value, partition);
      if (!isAcknowledged || this.#offsetOf.has(value)) continue;
      const where = offset === undefined ? `in partition ${partition}` : `at ${at(partition, offset)}`;
      this.#report('lost', `${value} was acknowledged ${where} and no member was given it`);
    }
    for (const [value, [partition, offset]] of this.#offsetOf) {
      const sentTo = partitionOf.get(value);
      if (sentTo === partition) continue;
      const instead = sentTo === undefined ? 'nobody sent' : `was sent to partition ${sentTo}`;
      this.#report('unsent', `${at(partition, offset)} has ${value}, which ${instead}`);
    }
    const handOvers = this.#partitions.flatMap((partition) => this.#handOvers(partition));
    return { anomalies: this.#anomalies, handOvers, givenToFenced: this.#givenToFenced };
  }

  #partition(number: number): Partition {
    const partition = this.#partitions[number];
    if (partition === undefined) throw new Error(`there is no partition ${number}`);
    return partition;
  }

  #report(kind: AnomalyKind, detail: string): void {
    this.#anomalies.push({ kind, detail });
  }

  #assigned({ member, memberId, partition: number, offset, atMs }: GroupEvent & { readonly kind: 'assigned' }): void {
    const partition = this.#partition(number);
    const { committed } = partition;
    const assignment: Assignment = {
      ...{ member, memberId, partition: number, atMs, start: offset, committed },
      ...{ next: offset, goneAtMs: Infinity, wasLost: false, deposedAtMs: Infinity, wasReported: false },
    };
    partition.assignments.push(assignment);
    partition.owning.push(assignment);
    const owned = this.#owned.get(member) ?? new Map<number, Assignment>();
    this.#owned.set(member, owned.set(number, assignment));
    if (offset < committed) {
      this.#report('begun-behind-commit', `${member} begins at ${at(number, offset)}; committed was ${committed}`);
    }
  }

  #gone({ kind, member, partition, atMs }: GroupEvent & { readonly kind: 'revoked' | 'lost' }): void {
    const assignment = this.#owned.get(member)?.get(partition);
    if (assignment === undefined) return;
    assignment.goneAtMs = atMs;
    assignment.wasLost = kind === 'lost';
  }

  /** Who had heard of the partition before the coordinator was asked, and is not named, has lost it by now. */
  #owners(number: number, memberIds: readonly string[], { askedMs, atMs }: { askedMs: number; atMs: number }): void {
    if (memberIds.length > 1) {
      this.#report('two-owners', `partition ${number} is owned by ${memberIds.join(' and ')}`);
    }
    for (const one of this.#partition(number).owning) {
      if (one.atMs < askedMs && !memberIds.includes(one.memberId)) one.deposedAtMs = Math.min(one.deposedAtMs, atMs);
    }
  }

  #record({ member, partition: number, offset, value, atMs }: GroupEvent & { readonly kind: 'record' }): void {
    this.#place(number, offset, value, member);
    const assignment = this.#owned.get(member)?.get(number);
    if (assignment === undefined || assignment.goneAtMs < Infinity) {
      this.#report('not-owned', `${member} was given ${at(number, offset)}, and does not own the partition`);
      return;
    }
    const { next } = assignment;
    if (offset < next) this.#report('out-of-order', `${member} was given ${at(number, offset)} after ${next - 1}`);
    if (offset > next) {
      this.#report('skipped', `${member} was given ${at(number, offset)}, and before it nothing from ${next}`);
    }
    assignment.next = Math.max(next, offset + 1);
    if (assignment.deposedAtMs < Infinity) this.#givenToDeposed(assignment, offset, atMs);
  }

  #givenToDeposed(assignment: Assignment, offset: number, atMs: number): void {
    const { member, partition, deposedAtMs, wasReported } = assignment;
    this.#givenToFenced++;
    if (wasReported || atMs <= this.#troubles.heardBy(member, deposedAtMs)) return;
    assignment.wasReported = true;
    const since = Math.round(atMs - deposedAtMs);
    this.#report('fenced-goes-on', `${member} was given ${at(partition, offset)}, ${since} ms after another owned it`);
  }

  #place(number: number, offset: number, value: number, member: string): void {
    const partition = this.#partition(number);
    const { valueAt } = partition;
    const known = valueAt[offset];
    if (known !== undefined) {
      if (known === value) return;
      this.#report('inconsistent', `${at(number, offset)} was ${known}, and ${member} was given ${value}`);
      return;
    }
    valueAt[offset] = value;
    while (valueAt[partition.printedUntil] !== undefined) partition.printedUntil++;
    const elsewhere = this.#offsetOf.get(value);
    if (elsewhere === undefined) this.#offsetOf.set(value, [number, offset]);
    else this.#report('duplicate-write', `${value} is at ${at(...elsewhere)} and ${at(number, offset)}`);
  }

  #committed({ partition: number, offset }: GroupEvent & { readonly kind: 'committed' }): void {
    const partition = this.#partition(number);
    if (offset < partition.committed) {
      this.#report('committed-backwards', `${at(number, offset)} is committed, and ${partition.committed} was before`);
    }
    if (offset > partition.printedUntil) {
      this.#report('committed-unseen', `${at(number, offset)} is committed; ${partition.printedUntil} is not printed`);
    }
    const owned = Math.max(0, ...partition.owning.map(({ next }) => next));
    if (offset > partition.committed && offset > owned && offset <= partition.printedUntil) {
      const what = `${at(number, offset)} is committed, and owners have printed up to ${owned}`;
      this.#report('committed-by-fenced', what);
    }
    partition.committed = Math.max(partition.committed, offset);
    partition.owning = partition.owning.filter(({ deposedAtMs }) => deposedAtMs === Infinity);
  }

  #handOvers({ assignments }: Partition): readonly HandOver[] {
    const handOvers = handOversOf(assignments, this.#troubles, this.#killedAtMs);
    for (const { partition, from, to, start, ending, isDisturbed, repeated } of handOvers) {
      if (repeated === 0 || ending !== 'orderly' || isDisturbed) continue;
      const what = `${to} was given ${repeated} records from ${at(partition, start)} once more`;
      this.#report('needless-repeat', `${what}: ${from} had given the partition up in good order`);
    }
    return handOvers;
  }
}

function at(partition: number, offset: number): string {
  return `${partition}@${offset}`;
}
