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
 *                           no node was down: whoever leaves in good order commits what it is done with
 *   two-owners              the coordinator says that two members own one partition
 *
 * Records may be given twice where an owner was killed or fenced, or a node was down as a partition changed
 * hands: at most what had been printed of it and was not committed. Both numbers are counted for each change
 * of hands.
 *
 * Relies on: logs that begin with offset 0 and have no gaps, one group that begins with the first record, and
 * members that print a record before they acknowledge it.
 */
import type { GroupEvent, Written } from './history.js';

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
] as const;
export type AnomalyKind = (typeof ANOMALIES)[number];

export interface Anomaly {
  readonly kind: AnomalyKind;
  readonly detail: string;
}

/** How the owner before let a partition go. */
export type Ending = 'killed' | 'lost' | 'orderly';

/** A partition has gone from one assignment to the next. */
export interface HandOver {
  readonly partition: number;
  readonly from: string;
  readonly to: string;
  readonly ending: Ending;
  /** A node was down, or had just been. */
  readonly isDisturbed: boolean;
  /** Given twice. */
  readonly repeated: number;
  /** Printed and not known to be committed: so many may be given twice. */
  readonly inFlight: number;
}

export interface Verdict {
  readonly anomalies: readonly Anomaly[];
  readonly handOvers: readonly HandOver[];
}

/** After a node serves again its effects on groups may last: elections, sessions, commits that are tried again. */
const AFTERMATH_MS = 15_000;

interface Assignment {
  readonly member: string;
  readonly partition: number;
  readonly atMs: number;
  readonly start: number;
  /** Known to be committed when it began. */
  readonly committed: number;
  /** Behind the last record that was given in it. */
  next: number;
  isGone: boolean;
  wasLost: boolean;
}

interface Partition {
  readonly assignments: Assignment[];
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
  readonly #disturbances: { readonly node: string; readonly fromMs: number; untilMs: number }[] = [];
  readonly #anomalies: Anomaly[] = [];

  constructor(partitions: number) {
    this.#partitions = Array.from({ length: partitions }, () => ({
      assignments: [],
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
        this.#report('two-owners', `partition ${event.partition} is owned by ${event.memberIds.join(' and ')}`);
        return;
      case 'fault':
        this.#disturbances.push({ node: event.node, fromMs: event.atMs, untilMs: Infinity });
        return;
      case 'fault-over':
        for (const one of this.#disturbances) {
          if (one.node === event.node && one.untilMs === Infinity) one.untilMs = event.atMs + AFTERMATH_MS;
        }
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
    const handOvers = this.#partitions.flatMap((partition, number) => this.#handOvers(partition, number));
    return { anomalies: this.#anomalies, handOvers };
  }

  #partition(number: number): Partition {
    const partition = this.#partitions[number];
    if (partition === undefined) throw new Error(`there is no partition ${number}`);
    return partition;
  }

  #report(kind: AnomalyKind, detail: string): void {
    this.#anomalies.push({ kind, detail });
  }

  #assigned({ member, partition: number, offset, atMs }: GroupEvent & { readonly kind: 'assigned' }): void {
    const partition = this.#partition(number);
    const { committed } = partition;
    const assignment: Assignment = {
      ...{ member, partition: number, atMs, start: offset, committed },
      ...{ next: offset, isGone: false, wasLost: false },
    };
    partition.assignments.push(assignment);
    const owned = this.#owned.get(member) ?? new Map<number, Assignment>();
    this.#owned.set(member, owned.set(number, assignment));
    if (offset < committed) {
      this.#report('begun-behind-commit', `${member} begins at ${at(number, offset)}; committed was ${committed}`);
    }
  }

  #gone({ kind, member, partition }: GroupEvent & { readonly kind: 'revoked' | 'lost' }): void {
    const assignment = this.#owned.get(member)?.get(partition);
    if (assignment === undefined) return;
    assignment.isGone = true;
    assignment.wasLost = kind === 'lost';
  }

  #record({ member, partition: number, offset, value }: GroupEvent & { readonly kind: 'record' }): void {
    this.#place(number, offset, value, member);
    const assignment = this.#owned.get(member)?.get(number);
    if (assignment === undefined || assignment.isGone) {
      this.#report('not-owned', `${member} was given ${at(number, offset)}, and does not own the partition`);
      return;
    }
    const { next } = assignment;
    if (offset < next) this.#report('out-of-order', `${member} was given ${at(number, offset)} after ${next - 1}`);
    if (offset > next) {
      this.#report('skipped', `${member} was given ${at(number, offset)}, and before it nothing from ${next}`);
    }
    assignment.next = Math.max(next, offset + 1);
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
    partition.committed = Math.max(partition.committed, offset);
  }

  #handOvers({ assignments }: Partition, partition: number): HandOver[] {
    const handOvers: HandOver[] = [];
    let end = assignments[0]?.next ?? 0;
    for (const [index, to] of assignments.entries()) {
      const from = assignments[index - 1];
      if (from === undefined) continue;
      const repeated = Math.max(0, Math.min(end, to.next) - to.start);
      const inFlight = Math.max(0, end - to.committed);
      end = Math.max(end, to.next);
      const isDisturbed = this.#disturbances.some(({ fromMs, untilMs }) => fromMs <= to.atMs && to.atMs < untilMs);
      const ending = this.#endingOf(from, to.atMs);
      handOvers.push({ partition, from: from.member, to: to.member, ending, isDisturbed, repeated, inFlight });
      if (repeated === 0 || ending !== 'orderly' || isDisturbed) continue;
      const what = `${to.member} was given ${repeated} records from ${at(partition, to.start)} once more`;
      this.#report('needless-repeat', `${what}: ${from.member} had given the partition up in good order`);
    }
    return handOvers;
  }

  #endingOf({ member, wasLost }: Assignment, nextAtMs: number): Ending {
    if (wasLost) return 'lost';
    return (this.#killedAtMs.get(member) ?? Infinity) <= nextAtMs ? 'killed' : 'orderly';
  }
}

function at(partition: number, offset: number): string {
  return `${partition}@${offset}`;
}
