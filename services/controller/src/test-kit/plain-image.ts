/** An image as plain data, for comparing images in tests: the records that make it. */
import { snapshotRecords } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';

export interface PlainImage {
  readonly offset: number;
  readonly term: number;
  readonly records: readonly internal.MetadataRecord[];
}

export function plainImage(image: MetadataImage): PlainImage {
  return { offset: image.offset, term: image.term, records: [...snapshotRecords(image)] };
}
