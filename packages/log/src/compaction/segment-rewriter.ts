/**
 * Takes the records that are superseded out of a stretch of one segment, in place. The keys of a batch
 * that loses records stay; batches that lose all of theirs become one without records under the first
 * key of the run, so that batches remain contiguous (L2) and no key is ever added.
 *
 * Each write holds whole runs and is atomic: after a crash every batch is as it was or as it is to be,
 * and each of them may be either, since a record goes only because of a later one that is not touched.
 * Why in place, where elsewhere keys only grow: docs/adr/0012-compaction-in-place.md.
 */
import type { BatchHeader } from '@barnabas/protocol';
import {
  MAX_OFFSET_DELTA,
  emptyBatch,
  fillerBatch,
  isFiller,
  readBatchHeader,
  retainRecords,
} from '@barnabas/protocol';
import type { StoredRecord } from '@barnabas/protocol';
import type { KeyValueStore, StoreOperation } from '@barnabas/store';
import { keyAt } from '../keys.js';
import { ActiveSegment } from '../segments.js';
import type { SegmentSummary } from '../segments.js';
import { CorruptEntry, batchOf, keyOf } from '../stored-batches.js';

/** What is to go and what must not. */
export interface Sieve {
  /** Whether the record is to stay. */
  retains(record: StoredRecord): boolean;
  /** Whether the batch says something of its producer that nothing later says. */
  isProducersLast(header: BatchHeader): boolean;
}

/** Bytes read in one turn, and gathered into one write. */
const CHUNK_BYTES = 512 * 1024;
const WRITE_BYTES = 1024 * 1024;

interface Run {
  readonly key: Buffer;
  readonly partitionLeaderEpoch: number;
  readonly baseOffset: number;
  lastOffset: number;
  /** Keys of the batches behind the first. */
  readonly others: Buffer[];
  /** Whether it is one filler, as it was. */
  isAsStored: boolean;
}

export class SegmentRewriter {
  /** What the segment is as it comes out. */
  readonly #after: ActiveSegment;
  #position: number;
  bytesRead = 0;
  bytesWritten = 0;
  recordsRemoved = 0;

  constructor(
    private readonly segment: SegmentSummary,
    private readonly sieve: Sieve,
  ) {
    this.#after = new ActiveSegment(segment.baseOffset);
    this.#position = segment.baseOffset;
  }

  get isDone(): boolean {
    return this.#position >= this.segment.endOffset;
  }

  get hasChanged(): boolean {
    return this.bytesWritten > 0;
  }

  /** The next stretch. Nothing else may change the log's shape meanwhile. */
  async step(store: KeyValueStore): Promise<void> {
    const range = { gte: keyAt(this.#position), lt: keyAt(this.segment.endOffset) };
    const { entries } = await store.readChunk({ ...range, chunkBytes: CHUNK_BYTES });
    const writes = new Writes(store);
    let run: Run | undefined;
    const endRun = async (): Promise<void> => {
      if (run !== undefined) await this.#endRun(run, writes);
      run = undefined;
    };
    for (const entry of entries) {
      const { kind, offset } = keyOf(entry);
      if (kind === 'segmentEnd') continue;
      if (offset !== this.#position)
        throw new CorruptEntry(this.#position, `no batch is stored there, but one at ${offset}`);
      const { header, bytes } = batchOf(entry, offset);
      this.bytesRead += bytes.length;
      this.#position = header.lastOffset + 1;
      const rest = this.#restOf(header, bytes);
      if (rest !== undefined) {
        await endRun();
        this.#count(rest);
        if (rest !== bytes) await writes.add([{ type: 'put', key: entry.key, value: rest }]);
        continue;
      }
      if (run !== undefined && !continues(run, header)) await endRun();
      if (run === undefined) run = runOf(entry.key, header);
      else extend(run, entry.key, header);
    }
    await endRun();
    await writes.flush();
    this.bytesWritten += writes.bytes;
    if (entries.length === 0)
      throw new CorruptEntry(this.#position, 'no batch is stored there, but its segment goes on');
  }

  /** The segment as it is now; where it ends does not change. */
  summary(): SegmentSummary {
    const { endOffset, firstTimestamp } = this.segment;
    // segment.ms and max.compaction.lag.ms count from what came first, though it is gone.
    return { ...this.#after.summary(), endOffset, firstTimestamp };
  }

  /** Undefined where nothing is left that must stand by itself. */
  #restOf(header: BatchHeader, bytes: Buffer): Buffer | undefined {
    // What a transaction wrote counts only once it is decided, and its marker as long as it counts:
    // until there are transactions, neither is touched.
    if (header.isControl || header.isTransactional) return bytes;
    const rest = header.recordCount === 0 ? undefined : retainRecords(bytes, (record) => this.sieve.retains(record));
    this.recordsRemoved += header.recordCount - (rest === undefined ? 0 : readBatchHeader(rest).recordCount);
    if (rest !== undefined) return rest;
    if (isFiller(header) || !this.sieve.isProducersLast(header)) return undefined;
    return header.recordCount === 0 ? bytes : emptyBatch(bytes);
  }

  async #endRun(run: Run, writes: Writes): Promise<void> {
    const filler = fillerBatch(run);
    this.#count(filler);
    if (run.isAsStored) return;
    const deletions = run.others.map((key) => ({ type: 'del', key }) as const);
    await writes.add([{ type: 'put', key: run.key, value: filler }, ...deletions]);
  }

  #count(batch: Buffer): void {
    this.#after.appended(readBatchHeader(batch));
  }
}

function runOf(key: Buffer, header: BatchHeader): Run {
  const { partitionLeaderEpoch, baseOffset, lastOffset } = header;
  return { key, partitionLeaderEpoch, baseOffset, lastOffset, others: [], isAsStored: isFiller(header) };
}

/** Epochs are read from batches: a batch without records is of one epoch too. */
function continues(run: Run, header: BatchHeader): boolean {
  return (
    header.partitionLeaderEpoch === run.partitionLeaderEpoch && header.lastOffset - run.baseOffset <= MAX_OFFSET_DELTA
  );
}

function extend(run: Run, key: Buffer, header: BatchHeader): void {
  run.lastOffset = header.lastOffset;
  run.others.push(key);
  run.isAsStored = false;
}

/** Gathers operations into writes that cut nothing that belongs together. */
class Writes {
  #operations: StoreOperation[] = [];
  #pending = 0;
  bytes = 0;

  constructor(private readonly store: KeyValueStore) {}

  async add(operations: readonly StoreOperation[]): Promise<void> {
    for (const operation of operations) {
      this.#operations.push(operation);
      this.#pending += operation.key.length + (operation.type === 'put' ? operation.value.length : 0);
    }
    if (this.#pending >= WRITE_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#operations.length === 0) return;
    await this.store.write(this.#operations, { sync: false });
    this.bytes += this.#pending;
    this.#operations = [];
    this.#pending = 0;
  }
}
