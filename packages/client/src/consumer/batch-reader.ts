/**
 * What has been fetched and not handed out, in the order in which it came, and the way from there to
 * batches: checks, skips what the application must not see, moves positions, gives credit back.
 *
 * Invariants:
 *   R1  for each partition, batches come in offset order, none twice, none below the position
 *   R2  the bytes of a message are released when its last batch has been dealt with, or all of it is void
 */
import { BarnabasError, readBatchHeader, toBarnabasError, validateBatch } from '@barnabas/protocol';
import type { BatchHeader } from '@barnabas/protocol';
import type { FetchedData } from '../fetch/partition-fetcher.js';
import { partitionName } from '../records.js';
import type { ConsumerRecord } from '../records.js';
import type { AssignedPartition } from './assigned-partition.js';
import { ConsumerBatch } from './consumer-batch.js';

export interface BatchReaderOptions {
  readonly checkCrcs: boolean;
  readonly maxDecompressedBytes: number;
  readonly intercept: ((records: readonly ConsumerRecord[]) => readonly ConsumerRecord[]) | undefined;
}

interface Arrival {
  readonly assigned: AssignedPartition;
  readonly generation: number;
}

interface DataArrival extends Arrival {
  readonly kind: 'data';
  readonly data: FetchedData;
  /** Where the next batch begins in the data. */
  at: number;
}

interface EndArrival extends Arrival {
  readonly kind: 'end';
  readonly error: BarnabasError;
}

/** What comes next: a batch, or a partition whose subscription has ended behind all of its data. */
export type NextItem =
  | { readonly kind: 'batch'; readonly assigned: AssignedPartition; readonly batch: ConsumerBatch }
  | { readonly kind: 'end'; readonly assigned: AssignedPartition; readonly error: BarnabasError };

export class BatchReader {
  readonly #options: BatchReaderOptions;
  #arrivals: (DataArrival | EndArrival)[] = [];
  #head = 0;
  #takenBytes = 0;

  constructor(options: BatchReaderOptions) {
    this.#options = options;
  }

  /** Bytes handed out since the beginning. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  push(assigned: AssignedPartition, generation: number, data: FetchedData): void {
    this.#arrivals.push({ kind: 'data', assigned, generation, data, at: 0 });
  }

  pushEnd(assigned: AssignedPartition, generation: number, error: BarnabasError): void {
    this.#arrivals.push({ kind: 'end', assigned, generation, error });
  }

  /** Releases what has become void. */
  dropStale(): void {
    const left = this.#arrivals.slice(this.#head).filter((arrival) => {
      if (!isStale(arrival)) return true;
      if (arrival.kind === 'data') arrival.data.release();
      return false;
    });
    this.#arrivals = left;
    this.#head = 0;
  }

  /** The next thing there is, if there is one; with a condition, of the partitions that meet it. */
  next(isReady?: (assigned: AssignedPartition) => boolean): NextItem | undefined {
    return isReady === undefined ? this.#first() : this.#firstOf(isReady);
  }

  #first(): NextItem | undefined {
    for (let arrival = this.#arrivals[this.#head]; arrival !== undefined; arrival = this.#arrivals[this.#head]) {
      if (arrival.kind === 'end') {
        this.#shift();
        if (!isStale(arrival)) return arrival;
        continue;
      }
      const item = isStale(arrival) ? undefined : this.#nextOf(arrival);
      if (item !== undefined) return item;
      arrival.data.release();
      this.#shift();
    }
    return undefined;
  }

  /** Leaves what others wait for in its place. */
  #firstOf(isReady: (assigned: AssignedPartition) => boolean): NextItem | undefined {
    for (let at = this.#head; at < this.#arrivals.length; at++) {
      const arrival = this.#arrivals[at];
      if (arrival === undefined || (!isStale(arrival) && !isReady(arrival.assigned))) continue;
      const item = isStale(arrival) ? undefined : arrival.kind === 'end' ? arrival : this.#nextOf(arrival);
      if (item?.kind === 'batch') return item;
      if (arrival.kind === 'data') arrival.data.release();
      this.#arrivals.splice(at--, 1);
      if (item !== undefined) return item;
    }
    return undefined;
  }

  /** The next batch of a message that the application may see. */
  #nextOf(arrival: DataArrival): NextItem | undefined {
    const { assigned, data } = arrival;
    const { batches } = data;
    while (arrival.at < batches.length) {
      const header = this.#header(arrival);
      const start = arrival.at;
      arrival.at += header.sizeInBytes;
      if (header.lastOffset < assigned.position) continue;
      if (header.isControl || header.recordCount === 0) {
        assigned.position = header.lastOffset + 1;
        continue;
      }
      this.#takenBytes += header.sizeInBytes;
      return { kind: 'batch', assigned, batch: this.#batch(arrival, header, start) };
    }
    // Offsets behind the last batch that compaction has emptied.
    assigned.position = Math.max(assigned.position, data.nextOffset);
    return undefined;
  }

  #header({ assigned, data, at }: DataArrival): BatchHeader {
    try {
      return this.#options.checkCrcs ? validateBatch(data.batches, at) : readBatchHeader(data.batches, at);
    } catch (thrown) {
      throw unreadable(assigned, thrown);
    }
  }

  #batch({ assigned, data }: DataArrival, header: BatchHeader, start: number): ConsumerBatch {
    return new ConsumerBatch({
      topic: assigned.topic,
      partition: assigned.partition,
      header,
      bytes: data.batches.subarray(start, start + header.sizeInBytes),
      fromOffset: assigned.position,
      maxDecompressedBytes: this.#options.maxDecompressedBytes,
      intercept: this.#options.intercept,
    });
  }

  #shift(): void {
    this.#head++;
    if (this.#head < 64 || this.#head * 2 < this.#arrivals.length) return;
    this.#arrivals = this.#arrivals.slice(this.#head);
    this.#head = 0;
  }
}

function isStale({ assigned, generation }: Arrival): boolean {
  return assigned.generation !== generation;
}

/** The error for bytes that cannot be read. They are fetched anew if the application goes on without a seek. */
export function unreadable(assigned: AssignedPartition, thrown: unknown): BarnabasError {
  const cause = toBarnabasError(thrown);
  const { topic, partition, position } = assigned;
  assigned.interrupt();
  return new BarnabasError(
    cause.errorName,
    `${partitionName(topic, partition)} cannot be read at offset ${position}: ${cause.message}. Seek past it to go on`,
    { topic, partition, position },
    { cause },
  );
}
