/**
 * A decision in the making. Deciding changes nothing: a plan sees the groups as its own records would
 * make them, and only replaying those records, once they are appended, changes the shard.
 *
 * Records are in an order in which every prefix is a sound state that the next decision goes on from:
 * a log may cut a large decision into several batches and die between two of them.
 */
import { BarnabasError } from '@barnabas/protocol';
import { applyRecord, applyTo, groupIdOf } from './apply-record.js';
import { emptyGroup, isGone } from './group-image.js';
import type { GroupImage } from './group-image.js';
import type { GroupRecord } from './record.js';

/** When something happens, on both clocks. */
export interface Now {
  /** For timeouts. */
  readonly monotonicMs: number;
  /** For what is written down. */
  readonly wallMs: number;
}

/** Members that would learn something if they sent a heartbeat now. */
export interface Nudge {
  readonly groupId: string;
  readonly memberIds: readonly string[];
}

export interface Decision<R> {
  /** To be appended in order, then replayed; the answer waits until they are committed. */
  readonly records: readonly GroupRecord[];
  readonly response: R;
  readonly nudges: readonly Nudge[];
}

/** What a part of a request is refused with; anything but a typed error is a fault of this program and passes on. */
export function refusalOf(error: unknown): BarnabasError {
  if (error instanceof BarnabasError) return error;
  throw error;
}

export type Groups = ReadonlyMap<string, GroupImage>;

export class Plan {
  readonly #drafts = new Map<string, GroupImage>();
  readonly #records: GroupRecord[] = [];
  readonly #nudges: Nudge[] = [];

  constructor(private readonly groups: Groups) {}

  /** The group as the plan leaves it; undefined where there is none. */
  find(groupId: string): GroupImage | undefined {
    const group = this.#drafts.get(groupId) ?? this.groups.get(groupId);
    return group === undefined || isGone(group) ? undefined : group;
  }

  group(groupId: string): GroupImage {
    return this.find(groupId) ?? emptyGroup(groupId);
  }

  add(...records: readonly GroupRecord[]): void {
    for (const record of records) {
      const groupId = groupIdOf(record);
      this.#drafts.set(groupId, applyTo(this.#drafts.get(groupId) ?? this.groups.get(groupId), record));
      this.#records.push(record);
    }
  }

  nudge(groupId: string, memberIds: readonly string[]): void {
    if (memberIds.length > 0) this.#nudges.push({ groupId, memberIds });
  }

  decide<R>(response: R): Decision<R> {
    return { records: this.#records, response, nudges: this.#nudges };
  }
}

/** What records make of a set of groups; groups of which nothing is left go. */
export function replayInto(groups: Map<string, GroupImage>, record: GroupRecord): GroupImage | undefined {
  const groupId = groupIdOf(record);
  const before = groups.get(groupId);
  const after = applyRecord(before ?? emptyGroup(groupId), record);
  if (isGone(after) && after.targets.size === 0) groups.delete(groupId);
  else groups.set(groupId, after);
  return groups.get(groupId);
}
