/**
 * What a leader sent of one partition, cut into messages for the client: each is encoded once, from the
 * batches to the bytes that go out.
 *
 * Invariant: the bytes are those of a SubscribeResponse with `records`; the fields that are known only
 * when the records are encoded stand behind them.
 */
import { ConsumedRecordsEncoder, sizeOfUnsigned, writeUnsigned } from '@barnabas/protocol';
import type { FetchedData } from '@barnabas/client';
import type { FetchedRecords, Parcel, TakeLimits, TopicPartition } from './core/index.js';
import { EncodedResponse } from './wire.js';

const LENGTH_DELIMITED = 2;
/** SubscribeResponse.records. */
const RESPONSE_TAG = (5 << 3) | LENGTH_DELIMITED;
/** Of SubscribeRecords. */
const TOPIC_TAG = (1 << 3) | LENGTH_DELIMITED;
const PARTITION_TAG = 2 << 3;
const RECORDS_TAG = (3 << 3) | LENGTH_DELIMITED;
const NEXT_OFFSET_TAG = 4 << 3;
const HIGH_WATERMARK_TAG = 5 << 3;
const LEADER_EPOCH_TAG = 6 << 3;
const LOG_START_OFFSET_TAG = 7 << 3;
/** A tag and a length of 32 bits. */
const PREFIX_BYTES = 6;
/** Four numbers with their tags. */
const TAIL_BYTES = 4 * 11;

/** The fields in front of the records, which are the same for every message of a partition. */
export function headOf({ topic, partition }: TopicPartition): Buffer {
  const name = Buffer.from(topic);
  const head = Buffer.allocUnsafe(1 + sizeOfUnsigned(name.length) + name.length + 1 + sizeOfUnsigned(partition));
  head[0] = TOPIC_TAG;
  let at = writeUnsigned(head, 1, name.length);
  at += name.copy(head, at);
  head[at] = PARTITION_TAG;
  writeUnsigned(head, at + 1, partition);
  return head;
}

export class FetchedBatches implements FetchedRecords {
  readonly #head: Buffer;
  readonly #data: FetchedData;
  readonly #encoder: ConsumedRecordsEncoder;
  readonly #endOffset: number;

  /** `endOffset`: the end of what may be read. */
  constructor(head: Buffer, data: FetchedData, from: number, endOffset: number) {
    this.#head = head;
    this.#data = data;
    this.#endOffset = endOffset;
    this.#encoder = new ConsumedRecordsEncoder({ batches: data.batches, from, nextOffset: data.nextOffset });
  }

  get isDone(): boolean {
    return this.#encoder.isDone;
  }

  take(limits: TakeLimits): Parcel {
    const head = this.#head;
    const headBytes = PREFIX_BYTES + head.length;
    const frame = { tag: RECORDS_TAG, headBytes, tailBytes: TAIL_BYTES };
    const { buffer, end, records, bytes, nextOffset, leaderEpoch } = this.#encoder.next(frame, limits);
    let at = writeField(buffer, end, NEXT_OFFSET_TAG, nextOffset);
    at = writeField(buffer, at, HIGH_WATERMARK_TAG, this.#endOffset);
    at = writeField(buffer, at, LEADER_EPOCH_TAG, leaderEpoch);
    at = writeField(buffer, at, LOG_START_OFFSET_TAG, this.#data.logStartOffset);
    head.copy(buffer, PREFIX_BYTES);
    const length = at - PREFIX_BYTES;
    const start = PREFIX_BYTES - 1 - sizeOfUnsigned(length);
    buffer[start] = RESPONSE_TAG;
    writeUnsigned(buffer, start + 1, length);
    return { records, bytes, nextOffset, leaderEpoch, payload: new EncodedResponse(buffer.subarray(start, at)) };
  }

  /** As many bytes may come again. */
  release(): void {
    this.#data.release();
  }
}

function writeField(buffer: Buffer, at: number, tag: number, value: number): number {
  buffer[at] = tag;
  return writeUnsigned(buffer, at + 1, value);
}
