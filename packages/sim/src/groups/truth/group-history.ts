/**
 * What is committed of groups, from outside: every state that the committed records of __consumer_offsets
 * have made of a group, in order. Whatever anybody is told must be one of them that was in force between
 * the question and the answer.
 *
 * Time is counted in committed batches. The states are images of the coordinator's own making (one record
 * makes the same of a group everywhere); what is judged is who says what of them, and when.
 */
import { decodeBatches, emptyGroup, replayInto } from '@barnabas/broker/parts';
import type { GroupImage, GroupRecord } from '@barnabas/broker/parts';

interface Moment {
  /** The batch that made it. */
  readonly at: number;
  readonly image: GroupImage;
}

/** Told of each committed record. */
export type RecordListener = (record: GroupRecord, before: GroupImage, after: GroupImage) => void;

export class GroupHistory {
  readonly #groups = new Map<string, GroupImage>();
  readonly #moments = new Map<string, Moment[]>();
  #now = 0;

  constructor(private readonly onRecord: RecordListener) {}

  /** Batches committed so far. */
  get now(): number {
    return this.#now;
  }

  image(groupId: string): GroupImage {
    return this.#groups.get(groupId) ?? emptyGroup(groupId);
  }

  /** The state that was in force at `at`, and all that followed. */
  since(groupId: string, at: number): readonly GroupImage[] {
    const moments = this.#moments.get(groupId) ?? [];
    let first = moments.length;
    while (first > 0 && (moments[first - 1]?.at ?? 0) > at) first -= 1;
    const images = moments.slice(Math.max(0, first - 1)).map(({ image }) => image);
    return first === 0 ? [emptyGroup(groupId), ...images] : images;
  }

  take(batch: Buffer): void {
    this.#now += 1;
    const touched = new Set<string>();
    for (const record of decodeBatches([batch])) {
      const { groupId } = record.key;
      const before = this.image(groupId);
      replayInto(this.#groups, record);
      this.onRecord(record, before, this.image(groupId));
      touched.add(groupId);
    }
    for (const groupId of touched) {
      const moments = this.#moments.get(groupId) ?? [];
      this.#moments.set(groupId, moments);
      moments.push({ at: this.#now, image: this.image(groupId) });
    }
  }
}
