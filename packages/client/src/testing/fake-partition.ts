/**
 * A partition in memory that checks what a leader checks: size, CRC, and the sequences of idempotent
 * producers, of which it remembers the last five batches as a real log does. One copy, readable at once.
 */
import { BarnabasError, decodeRecords, patchBatch, splitBatches, validateBatch } from '@barnabas/protocol';
import type { BatchHeader, StoredRecord } from '@barnabas/protocol';
import type { AppendResult } from '../produce/outbound.js';

interface StoredBatch {
  readonly header: BatchHeader;
  readonly bytes: Buffer;
}

interface ProducerState {
  epoch: number;
  /** The last five, oldest first. */
  batches: { readonly baseSequence: number; readonly lastSequence: number; readonly baseOffset: number }[];
}

const REMEMBERED_BATCHES = 5;
const SEQUENCES = 2 ** 31;

export interface FakePartitionOptions {
  /** max.message.bytes. */
  readonly maxMessageBytes: number;
}

export class FakePartition {
  leader: number;
  leaderEpoch = 0;
  /** Followers that serve readers of a rack: rack to broker id. */
  readonly readers = new Map<string, number>();
  readonly #options: FakePartitionOptions;
  #batches: StoredBatch[] = [];
  #producers = new Map<number, ProducerState>();
  #logStartOffset = 0;
  #logEndOffset = 0;
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly topic: string,
    readonly partition: number,
    leader: number,
    options: FakePartitionOptions,
  ) {
    this.leader = leader;
    this.#options = options;
  }

  get logStartOffset(): number {
    return this.#logStartOffset;
  }

  /** Also the high watermark: what is appended is readable. */
  get logEndOffset(): number {
    return this.#logEndOffset;
  }

  /** Batches as stored. */
  get batches(): readonly Buffer[] {
    return this.#batches.map(({ bytes }) => bytes);
  }

  /** Everything there is, decoded; control batches left out. */
  records(): readonly StoredRecord[] {
    const data = this.#batches.filter(({ header }) => !header.isControl);
    return data.flatMap(({ bytes }) => decodeRecords(bytes)).filter(({ offset }) => offset >= this.#logStartOffset);
  }

  /** Appends batches as a leader does; all or nothing. Returns where the first went, or went the first time. */
  append(bytes: Buffer): AppendResult {
    const slices = [...splitBatches(bytes)];
    for (const { at } of slices) validateBatch(bytes, at, { maxBatchBytes: this.#options.maxMessageBytes });
    let first: number | undefined;
    for (const { header, bytes: batch } of slices) {
      const known = this.#checkSequence(header);
      first ??= known ?? this.#logEndOffset;
      if (known === undefined) this.#store(header, Buffer.from(batch));
    }
    for (const listener of this.#listeners) listener();
    return { baseOffset: first ?? this.#logEndOffset, logAppendTimeMs: -1, logStartOffset: this.#logStartOffset };
  }

  /** Stores bytes as they are, offsets excepted: control batches, damaged batches. */
  appendUnchecked(bytes: Buffer, recordCount: number): void {
    const copy = Buffer.from(bytes);
    patchBatch(copy, 0, { baseOffset: this.#logEndOffset, partitionLeaderEpoch: this.leaderEpoch });
    const [slice] = splitBatches(copy);
    if (slice === undefined) throw new TypeError('there is no batch in these bytes');
    this.#batches.push({ header: slice.header, bytes: copy });
    this.#logEndOffset += recordCount;
    for (const listener of this.#listeners) listener();
  }

  /** Whole batches from the one that holds `offset`, up to `maxBytes` but at least one. */
  read(offset: number, maxBytes: number): { readonly bytes: Buffer; readonly nextOffset: number } {
    const found: Buffer[] = [];
    let size = 0;
    let nextOffset = offset;
    for (const { header, bytes } of this.#batches) {
      if (header.lastOffset < offset) continue;
      if (found.length > 0 && size + bytes.length > maxBytes) break;
      found.push(bytes);
      size += bytes.length;
      nextOffset = header.lastOffset + 1;
    }
    return { bytes: Buffer.concat(found), nextOffset };
  }

  /** First offset whose record is at or after the time; undefined if there is none. */
  offsetForTimestamp(timestamp: number): StoredRecord | undefined {
    return this.records().find((record) => record.timestamp >= timestamp);
  }

  /** Where the largest epoch that is not above the given one ends; undefined when the log knows of none. */
  endOffsetForEpoch(leaderEpoch: number): { readonly leaderEpoch: number; readonly endOffset: number } | undefined {
    const headers = this.#batches.map(({ bytes }) => splitBatches(bytes).next().value?.header);
    const last = headers.findLast((header) => (header?.partitionLeaderEpoch ?? 0) <= leaderEpoch);
    return last && { leaderEpoch: last.partitionLeaderEpoch, endOffset: last.lastOffset + 1 };
  }

  deleteRecordsBefore(offset: number): void {
    this.#logStartOffset = Math.max(this.#logStartOffset, offset);
    this.#batches = this.#batches.filter(({ header }) => header.lastOffset >= this.#logStartOffset);
  }

  /** As after an unclean election: the end of the log is gone, with what it said of producers. */
  truncateTo(offset: number): void {
    this.#batches = this.#batches.filter(({ header }) => header.lastOffset < offset);
    this.#logEndOffset = Math.max(this.#logStartOffset, (this.#batches.at(-1)?.header.lastOffset ?? -1) + 1);
    this.#producers = new Map();
    for (const { header } of this.#batches) this.#remember(header, header.baseOffset);
  }

  /** As after producer.id.expiration.ms, with the records still there. */
  forgetProducers(): void {
    this.#producers = new Map();
  }

  /** Somebody else has written with this producer id and a later epoch. */
  bumpProducerEpoch(producerId: number): void {
    const state = this.#producers.get(producerId);
    if (state !== undefined) this.#producers.set(producerId, { epoch: state.epoch + 1, batches: [] });
  }

  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The offset of the first append if the batch is a duplicate; throws if it may not follow. */
  #checkSequence(header: BatchHeader): number | undefined {
    const { producerId, producerEpoch, baseSequence } = header;
    if (producerId < 0) return undefined;
    const state = this.#producers.get(producerId);
    if (state === undefined) {
      if (baseSequence !== 0) throw this.#refusal('UNKNOWN_PRODUCER_ID', header);
      return undefined;
    }
    if (producerEpoch < state.epoch) throw this.#refusal('INVALID_PRODUCER_EPOCH', header);
    if (producerEpoch > state.epoch) {
      if (baseSequence !== 0) throw this.#refusal('OUT_OF_ORDER_SEQUENCE_NUMBER', header);
      return undefined;
    }
    const duplicate = state.batches.find((batch) => batch.baseSequence === baseSequence);
    if (duplicate !== undefined && duplicate.lastSequence === lastSequence(header)) return duplicate.baseOffset;
    const last = state.batches.at(-1);
    if (last !== undefined && baseSequence === (last.lastSequence + 1) % SEQUENCES) return undefined;
    const isOld = last !== undefined && baseSequence <= last.lastSequence;
    throw this.#refusal(isOld ? 'DUPLICATE_SEQUENCE_NUMBER' : 'OUT_OF_ORDER_SEQUENCE_NUMBER', header);
  }

  #store(header: BatchHeader, bytes: Buffer): void {
    const baseOffset = this.#logEndOffset;
    patchBatch(bytes, 0, { baseOffset, partitionLeaderEpoch: this.leaderEpoch });
    const stored = { ...header, baseOffset, lastOffset: baseOffset + header.lastOffsetDelta };
    this.#batches.push({ header: stored, bytes });
    this.#logEndOffset = stored.lastOffset + 1;
    if (header.producerId >= 0) this.#remember(header, baseOffset);
  }

  #remember(header: BatchHeader, baseOffset: number): void {
    const { producerId, producerEpoch, baseSequence } = header;
    if (producerId < 0) return;
    const state = this.#producers.get(producerId);
    const earlier = state?.epoch === producerEpoch ? state.batches : [];
    const batches = [...earlier, { baseSequence, lastSequence: lastSequence(header), baseOffset }];
    this.#producers.set(producerId, { epoch: producerEpoch, batches: batches.slice(-REMEMBERED_BATCHES) });
  }

  #refusal(
    name:
      | 'UNKNOWN_PRODUCER_ID'
      | 'INVALID_PRODUCER_EPOCH'
      | 'OUT_OF_ORDER_SEQUENCE_NUMBER'
      | 'DUPLICATE_SEQUENCE_NUMBER',
    { producerId, producerEpoch, baseSequence }: BatchHeader,
  ): BarnabasError {
    return new BarnabasError(name, `${this.topic}-${this.partition} refuses the batch`, {
      producerId,
      producerEpoch,
      baseSequence,
    });
  }
}

function lastSequence({ baseSequence, recordCount }: BatchHeader): number {
  return (baseSequence + recordCount - 1) % SEQUENCES;
}
