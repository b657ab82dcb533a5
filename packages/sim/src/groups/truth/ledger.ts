/**
 * Who works on what, as members are told and as their applications do: and what has been delivered to each
 * group. Liars have no place here; members that resume somewhere else have one for each place.
 *
 *   one-owner   a partition is worked on by one member that the group still counts among its own. Whoever
 *               works on without knowing that he has been removed is harmless: his commits are refused
 *   told-twice  nobody is given what he has
 *   begun       a life that begins owns nothing
 *   start       reading begins at the committed offset, or at the log's start where there is none
 *   read        records are what is committed, none is skipped, none comes twice in one stretch
 */
import type { GroupImage } from '@barnabas/broker/parts';
import { partitionKey } from '@barnabas/broker/parts';
import { Violation } from '../../kernel/violation.js';
import type { Truth } from '../../cluster/truth/truth.js';
import { markIn } from '../../cluster/truth/replica-log.js';

export interface Place {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
}

/** A member in one of its lives, at one place. */
export interface Worker {
  readonly name: string;
  readonly groupId: string;
  readonly memberId: string;
  readonly incarnation: number;
  /** Whether its application may still touch the partition: one that has let it go need not say so at once. */
  worksOn(name: string): boolean;
  /** A thin client hears late of what its node was given and has let go: nobody waits for it, and what it is told may be over. */
  readonly isFarFromItsMember?: boolean;
}

interface Stretch extends Place {
  /** The next record must be this one; undefined: any of `starts`. */
  next: number | undefined;
  /** Where it may begin; undefined: anywhere, since it is another's already. */
  readonly starts: ReadonlySet<number> | undefined;
}

export interface LedgerParts {
  readonly truth: Truth;
  readonly image: (groupId: string) => GroupImage;
  readonly count: (what: string) => void;
  /** The topic may be deleted and made again. */
  readonly isMortal: (topic: string) => boolean;
}

export class Ledger {
  readonly #work = new Map<Worker, Map<string, Stretch>>();
  /** By group, then by topic id and partition: offsets. */
  readonly #delivered = new Map<string, Map<string, Set<number>>>();

  constructor(private readonly parts: LedgerParts) {}

  /** A member has joined, or begun anew. */
  begun(worker: Worker): void {
    const left = [...this.#of(worker).keys()].filter((name) => worker.worksOn(name));
    if (left.length === 0) return;
    throw new Violation('begun', 'a member has begun anew and still works on what it had', {
      ...{ ...describe(worker), partitions: left.join() },
    });
  }

  /** The worker was told that these are its own. `starts`: where it will read on, if it is known. */
  assigned(worker: Worker, places: readonly Place[]): void {
    const work = this.#of(worker);
    for (const place of places) {
      const name = nameOf(place);
      if (work.has(name) && worker.worksOn(name)) {
        throw new Violation('told-twice', 'a member was given what it has', { ...describe(worker), partition: name });
      }
      this.parts.count('partitions assigned');
      if (worker.isFarFromItsMember !== true && this.#counts(worker)) this.#checkAlone(worker, place);
      work.set(name, { ...place, next: undefined, starts: this.#starts(worker, place) });
    }
  }

  /** The application has let these go. */
  released(worker: Worker, names: Iterable<string>): void {
    const work = this.#of(worker);
    for (const name of names) work.delete(name);
  }

  lost(worker: Worker): void {
    this.#work.delete(worker);
  }

  has(worker: Worker, name: string): boolean {
    return this.#of(worker).has(name);
  }

  place(worker: Worker, name: string): Place | undefined {
    return this.#of(worker).get(name);
  }

  names(worker: Worker): string[] {
    return [...this.#of(worker).keys()];
  }

  /** The application reads on from elsewhere. */
  sought(worker: Worker, name: string, offset: number): void {
    const stretch = this.#of(worker).get(name);
    if (stretch !== undefined) stretch.next = offset;
  }

  received(worker: Worker, name: string, offset: number, value: Uint8Array | null): void {
    const stretch = this.#of(worker).get(name);
    // Let go already, by its grace.
    if (stretch === undefined) return;
    const { truth, count } = this.parts;
    truth.told('read', name, offset, value === null ? '' : markIn(value));
    this.#checkOrder(worker, stretch, offset);
    stretch.next = offset + 1;
    const known = this.delivered(worker.groupId, partitionKey(stretch.topicId, stretch.partition));
    count(known.has(offset) ? 'records delivered again' : 'records delivered');
    known.add(offset);
  }

  delivered(groupId: string, key: string): Set<number> {
    const group = this.#delivered.get(groupId) ?? new Map<string, Set<number>>();
    this.#delivered.set(groupId, group);
    const known = group.get(key) ?? new Set<number>();
    group.set(key, known);
    return known;
  }

  #checkOrder(worker: Worker, { next, starts, ...place }: Stretch, offset: number): void {
    if (next === offset || (next === undefined && (starts === undefined || starts.has(offset)))) return;
    // A topic made anew under its name is read from its start before the group has heard of it.
    if (this.parts.isMortal(place.topic) && offset < (next ?? Infinity)) return;
    const check = next === undefined ? 'start' : 'read';
    const what =
      next === undefined ? 'reading does not begin where the group is' : 'a record was skipped or came twice';
    throw new Violation(check, what, {
      ...{ ...describe(worker), partition: nameOf(place), offset, next, starts: [...(starts ?? [])].join() },
    });
  }

  /** Whatever the group has committed while nobody else could: this member is the owner. */
  #starts(worker: Worker, place: Place): ReadonlySet<number> | undefined {
    const image = this.parts.image(worker.groupId);
    const key = partitionKey(place.topicId, place.partition);
    if (!this.#counts(worker) || image.owners.get(key) !== worker.memberId) return undefined;
    const committed = image.offsets.get(key)?.offset ?? 0;
    return new Set([committed]);
  }

  #checkAlone(worker: Worker, place: Place): void {
    const name = nameOf(place);
    for (const [other, work] of this.#work) {
      const theirs = work.get(name);
      if (
        other === worker ||
        other.isFarFromItsMember === true ||
        other.groupId !== worker.groupId ||
        theirs?.topicId !== place.topicId
      )
        continue;
      if (!other.worksOn(name) || !this.#counts(other)) continue;
      throw new Violation('one-owner', 'a partition was given to a member while another works on it', {
        ...{ partition: name, ...describe(worker), other: other.name, otherId: other.memberId },
        otherIncarnation: other.incarnation,
      });
    }
  }

  /** Whether the group counts this life among its members. */
  #counts({ groupId, memberId, incarnation }: Worker): boolean {
    return this.parts.image(groupId).members.get(memberId)?.incarnation === incarnation;
  }

  #of(worker: Worker): Map<string, Stretch> {
    const known = this.#work.get(worker) ?? new Map<string, Stretch>();
    this.#work.set(worker, known);
    return known;
  }
}

export function nameOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}-${partition}`;
}

function describe({ name, groupId, memberId, incarnation }: Worker) {
  return { worker: name, group: groupId, memberId, incarnation };
}
