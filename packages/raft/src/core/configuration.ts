/**
 * Configurations of a quorum: what a change makes of one, how one stands in an entry, and which was in
 * force where in the log.
 *
 * Changes are made one member at a time (dissertation, 4.1), so that any majority before a change and
 * any majority after it have a voter in common. A new voter comes in two steps, as a learner first.
 */
import { assert, present } from '@barnabas/common';
import type { Configuration, Entry, EntryKind, Member, MembershipChange, NodeId, ReplicaId } from './types.js';

export const NO_MEMBERS: Configuration = { voters: [], learners: [] };

/** Why a change cannot be made. */
export type ChangeRefusal =
  /** This node does not lead. */
  | 'notLeader'
  /** A change or a transfer is under way, or this leader has committed nothing in its term yet. */
  | 'busy'
  /** A member with that node id is there already. */
  | 'exists'
  /** There is no such member. */
  | 'unknown'
  /** It is the only voter. */
  | 'lastVoter'
  /** The learner is too far behind to vote. */
  | 'behind';

export const isMembershipChange = (kind: EntryKind): kind is MembershipChange['kind'] =>
  kind !== 'command' && kind !== 'noop';

export const isSame = (a: ReplicaId, b: ReplicaId): boolean => a.id === b.id && a.directoryId === b.directoryId;

export function memberOf({ voters, learners }: Configuration, id: NodeId): Member | undefined {
  return voters.find((member) => member.id === id) ?? learners.find((member) => member.id === id);
}

/** The configuration that a change leads to, or why there is none. */
export function changed(from: Configuration, change: MembershipChange): Configuration | ChangeRefusal {
  const { voters, learners } = from;
  const without = (members: readonly Member[], id: NodeId): Member[] => members.filter((one) => one.id !== id);
  switch (change.kind) {
    case 'addLearner': {
      if (memberOf(from, change.member.id) !== undefined) return 'exists';
      return { voters, learners: [...learners, change.member] };
    }
    case 'promote': {
      const learner = learners.find(({ id }) => id === change.id);
      if (learner === undefined) return memberOf(from, change.id) === undefined ? 'unknown' : 'exists';
      return { voters: [...voters, learner], learners: without(learners, change.id) };
    }
    case 'remove': {
      if (memberOf(from, change.id) === undefined) return 'unknown';
      if (voters.length === 1 && voters[0]?.id === change.id) return 'lastVoter';
      return { voters: without(voters, change.id), learners: without(learners, change.id) };
    }
    case 'update': {
      const known = memberOf(from, change.member.id);
      if (known === undefined || !isSame(known, change.member)) return 'unknown';
      const replaced = (members: readonly Member[]): Member[] =>
        members.map((member) => (member === known ? change.member : member));
      return { voters: replaced(voters), learners: replaced(learners) };
    }
  }
}

/**
 * version u8 (1), then voters and learners, each: count u16, then of each member
 * id u32, directory id: length u16 and bytes, endpoint: length u16 and bytes. Big-endian; texts are ASCII.
 */
const VERSION = 1;

export function encodeConfiguration({ voters, learners }: Configuration): Uint8Array {
  const bytes: number[] = [VERSION];
  const u16 = (value: number): void => void bytes.push((value >>> 8) & 0xff, value & 0xff);
  const text = (value: string): void => {
    assert(isPlainText(value), 'a directory id or endpoint is short and of ASCII characters', { value });
    u16(value.length);
    for (let at = 0; at < value.length; at++) bytes.push(value.charCodeAt(at));
  };
  for (const members of [voters, learners]) {
    u16(members.length);
    for (const { id, directoryId, endpoint } of members) {
      u16(id >>> 16);
      u16(id & 0xffff);
      text(directoryId);
      text(endpoint);
    }
  }
  return Uint8Array.from(bytes);
}

/** What can stand in a configuration. */
export function isPlainText(value: string): boolean {
  return value.length <= 1000 && /^[\x21-\x7e]*$/.test(value);
}

/** Undefined if it is none. */
export function decodeConfiguration(bytes: Uint8Array): Configuration | undefined {
  let at = 0;
  let sound = true;
  const u8 = (): number => {
    const value = bytes[at++];
    sound &&= value !== undefined;
    return value ?? 0;
  };
  const u16 = (): number => u8() * 0x100 + u8();
  const text = (): string => {
    let value = '';
    for (let left = u16(); left > 0 && sound; left--) value += String.fromCharCode(u8());
    return value;
  };
  const members = (): Member[] => {
    const list: Member[] = [];
    for (let left = u16(); left > 0 && sound; left--) {
      list.push({ id: u16() * 0x1_0000 + u16(), directoryId: text(), endpoint: text() });
    }
    return list;
  };
  if (u8() !== VERSION) return undefined;
  const configuration = { voters: members(), learners: members() };
  return sound && at === bytes.length ? configuration : undefined;
}

/**
 * Which configuration is in force from which entry on: the one as of the log's base, and those of the
 * changes behind it. Follows the log: what is replaced there is taken back here.
 */
export class Configurations {
  #history: { readonly index: number; readonly configuration: Configuration }[];

  constructor(index: number, configuration: Configuration) {
    this.#history = [{ index, configuration }];
  }

  get #last(): { readonly index: number; readonly configuration: Configuration } {
    return present(this.#history.at(-1), 'configuration');
  }
  /** The one in force: the last in the log, committed or not (dissertation, 4.1). */
  get latest(): Configuration {
    return this.#last.configuration;
  }
  /** The entry from which on it is in force. */
  get latestIndex(): number {
    return this.#last.index;
  }

  /** The one that was in force at an entry. */
  at(index: number): Configuration {
    const found = this.#history.findLast((one) => one.index <= index);
    return present(found, 'configuration at an entry', { index }).configuration;
  }

  appended({ index, kind, command }: Entry): void {
    if (!isMembershipChange(kind)) return;
    const configuration = present(decodeConfiguration(command), 'configuration in an entry', { index });
    this.#history.push({ index, configuration });
  }

  truncatedFrom(index: number): void {
    while (this.#history.length > 1 && this.#last.index >= index) this.#history.pop();
  }

  /** Entries up to this one can no longer be asked for, but for the last configuration among them. */
  compactedTo(index: number): void {
    const keepFrom = this.#history.findLastIndex((one) => one.index <= index);
    this.#history = this.#history.slice(Math.max(0, keepFrom));
  }

  restored(index: number, configuration: Configuration): void {
    this.#history = [{ index, configuration }];
  }
}
