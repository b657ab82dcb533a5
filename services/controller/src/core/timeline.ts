/**
 * The controller's state: the committed image and, on the active controller, the images that follow
 * from decisions on their way through Raft. Decisions see the newest; followers and readers see the
 * committed one. Images are immutable, so keeping several costs little and taking back is dropping.
 *
 * Invariants:
 *   T1  the committed image changes only by batches that Raft has committed, in order
 *   T2  staged batches follow the committed image without a gap
 *   T3  a batch is committed as it was staged, or all staged ones are dropped first
 */
import { assert, present } from '@barnabas/common';
import { MetadataDelta, emptyImage } from '@barnabas/metadata';
import type { ImageChanges, MetadataImage } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';
import type { Unit } from './decision.js';

/** Records that are one entry of the Raft log. */
export type Batch = Readonly<internal.MetadataRecordBatch>;

export interface CommittedBatch {
  readonly batch: Batch;
  readonly changes: ImageChanges;
  /** After it. */
  readonly image: MetadataImage;
}

export class Timeline {
  #committed: MetadataImage = emptyImage;
  readonly #staged: CommittedBatch[] = [];

  get committed(): MetadataImage {
    return this.#committed;
  }

  /** What decisions are made on. */
  get latest(): MetadataImage {
    return this.#staged.at(-1)?.image ?? this.#committed;
  }

  /** Makes the records the newest state, to be committed or dropped. */
  stage(records: Unit, term: number): Batch {
    const baseOffset = this.latest.offset;
    const batch = { baseOffset, records: [...records], endOffset: baseOffset + records.length, term };
    this.#staged.push(replay(this.latest, batch));
    return batch;
  }

  /** The oldest staged batch has been committed. */
  commitStaged(): CommittedBatch {
    const next = present(this.#staged.shift(), 'a staged batch');
    this.#committed = next.image;
    return next;
  }

  /** A batch that another controller staged, or this one in an earlier term, has been committed. */
  commit(batch: Batch): CommittedBatch {
    assert(this.#staged.length === 0, 'staged batches are dropped before others are committed');
    const next = replay(this.#committed, batch);
    this.#committed = next.image;
    return next;
  }

  /** Forgets what has not been committed. */
  dropStaged(): void {
    this.#staged.length = 0;
  }

  /** Starts anew from a snapshot. */
  restore(image: MetadataImage): void {
    this.#staged.length = 0;
    this.#committed = image;
  }
}

function replay(base: MetadataImage, batch: Batch): CommittedBatch {
  assert(batch.baseOffset === base.offset, 'batches follow each other', { base: base.offset, got: batch.baseOffset });
  assert(batch.endOffset === base.offset + batch.records.length, 'a batch has as many offsets as records', {
    baseOffset: batch.baseOffset,
    endOffset: batch.endOffset,
    records: batch.records.length,
  });
  const delta = new MetadataDelta(base);
  for (const record of batch.records) delta.replay(record);
  return { batch, changes: delta, image: delta.apply({ offset: batch.endOffset, term: batch.term }) };
}
