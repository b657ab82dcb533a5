/**
 * What a handler decides: records to commit and an answer to give once they are. Deciding changes
 * nothing; only replaying the records does (timeline.ts).
 */
import { MetadataDelta } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError, errorToProto } from '@barnabas/protocol';
import type { internal, v1 } from '@barnabas/protocol';

/** Records that are committed all or none: a topic and its partitions, for example. */
export type Unit = readonly internal.MetadataRecord[];

export interface Decision<R> {
  /** In order. After a crash in the middle the first of them may be committed without the others. */
  readonly units: readonly Unit[];
  /** What the units leave behind; absent where there are none. */
  readonly image?: MetadataImage;
  readonly response: R;
}

/** An answer that changes nothing. */
export function answer<R>(response: R): Decision<R> {
  return { units: [], response };
}

/** What a part of a request is refused with; anything but a typed error is a fault of this program and passes on. */
export function refusal(error: unknown): v1.Error {
  if (error instanceof BarnabasError) return errorToProto(error);
  throw error;
}

/**
 * A decision in the making. `image` shows everything planned so far, so that the second of two
 * requests in one call, or an election after a fencing, is decided as if the first had happened.
 */
export class Plan {
  #image: MetadataImage;
  readonly #units: Unit[] = [];

  constructor(image: MetadataImage) {
    this.#image = image;
  }

  get image(): MetadataImage {
    return this.#image;
  }

  /** The metadata offset that the next record will have. */
  get nextOffset(): number {
    return this.#image.offset;
  }

  add(unit: Unit): void {
    this.addAll([unit]);
  }

  addAll(units: readonly Unit[]): void {
    const delta = new MetadataDelta(this.#image);
    let { offset } = this.#image;
    for (const unit of units) {
      if (unit.length === 0) continue;
      for (const record of unit) delta.replay(record);
      offset += unit.length;
      this.#units.push(unit);
    }
    if (offset > this.#image.offset) this.#image = delta.apply({ offset, term: this.#image.term });
  }

  decide<R>(response: R): Decision<R> {
    return { units: this.#units, image: this.#image, response };
  }
}
