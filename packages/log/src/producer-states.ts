/**
 * What a log remembers of idempotent producers, so that a batch sent twice is stored once. Pure.
 *
 * Owns: the last five batches and the epoch of each producer id; the four refusals of a sequence.
 * Does not own transactions: control batches move a producer's epoch and nothing else.
 *
 * Derived from batch headers in offset order; a copy travels in every segment end.
 * Expiry counts from when this broker last appended for the producer, not from its timestamps:
 * a producer that replays old data is not forgotten between two batches.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { BatchHeader } from '@barnabas/protocol';

/** Kafka's limit of requests in flight for an idempotent producer. */
const BATCHES_REMEMBERED = 5;
const SEQUENCES = 2 ** 31;

export interface ProducedBatch {
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly timestamp: number;
}

export interface ProducerEntry {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastSeenMs: number;
  /** Oldest first, all of this epoch; empty after a control batch raised the epoch. */
  readonly batches: readonly ProducedBatch[];
}

/** Sequences wrap from 2^31-1 to 0. */
export function sequenceAfter(baseSequence: number, records: number): number {
  return (baseSequence + records) % SEQUENCES;
}

export class ProducerStates {
  readonly #entries = new Map<number, ProducerEntry>();

  constructor(entries: Iterable<ProducerEntry> = []) {
    for (const entry of entries) this.#entries.set(entry.producerId, entry);
  }

  get size(): number {
    return this.#entries.size;
  }

  entries(): Iterable<ProducerEntry> {
    return this.#entries.values();
  }

  entry(producerId: number): ProducerEntry | undefined {
    return this.#entries.get(producerId);
  }

  /** A batch stands in the log. `header` has its final offsets. */
  appended(header: BatchHeader, now: number): void {
    if (header.producerId === -1) return;
    this.#entries.set(header.producerId, entryAfter(this.#entries.get(header.producerId), header, now));
  }

  expire(now: number, expirationMs: number): void {
    for (const [producerId, entry] of this.#entries) {
      if (now - entry.lastSeenMs >= expirationMs) this.#entries.delete(producerId);
    }
  }

  /** Checks batches of one append, each seen against those before it, without changing anything. */
  checker(): ProducerChecker {
    return new ProducerChecker(this);
  }
}

/** Either the batch is new, or these are the offsets it was given the first time. */
export type SequenceVerdict = { readonly kind: 'new' } | { readonly kind: 'duplicate'; readonly of: ProducedBatch };

export class ProducerChecker {
  readonly #pending = new Map<number, ProducerEntry>();

  constructor(private readonly states: ProducerStates) {}

  /**
   * Throws INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER or UNKNOWN_PRODUCER_ID for what may not
   * be appended.
   */
  check(header: BatchHeader): SequenceVerdict {
    if (header.producerId === -1) return { kind: 'new' };
    const entry = this.#pending.get(header.producerId) ?? this.states.entry(header.producerId);
    const duplicate = entry === undefined ? undefined : findDuplicate(entry, header);
    if (duplicate !== undefined) return { kind: 'duplicate', of: duplicate };
    if (entry !== undefined) checkEpoch(entry, header);
    if (!header.isControl) {
      if (entry === undefined) checkFirst(header);
      else checkSequence(entry, header);
    }
    this.#pending.set(header.producerId, entryAfter(entry, header, 0));
    return { kind: 'new' };
  }
}

function entryAfter(entry: ProducerEntry | undefined, header: BatchHeader, now: number): ProducerEntry {
  const { producerId, producerEpoch } = header;
  const before = entry !== undefined && entry.producerEpoch === producerEpoch ? entry.batches : [];
  if (header.isControl) return { producerId, producerEpoch, lastSeenMs: now, batches: before };
  const batch: ProducedBatch = {
    baseSequence: header.baseSequence,
    lastSequence: sequenceAfter(header.baseSequence, header.lastOffsetDelta),
    baseOffset: header.baseOffset,
    lastOffset: header.lastOffset,
    timestamp: header.maxTimestamp,
  };
  return { producerId, producerEpoch, lastSeenMs: now, batches: [...before, batch].slice(-BATCHES_REMEMBERED) };
}

function findDuplicate(entry: ProducerEntry, header: BatchHeader): ProducedBatch | undefined {
  if (header.isControl || header.producerEpoch !== entry.producerEpoch) return undefined;
  const lastSequence = sequenceAfter(header.baseSequence, header.lastOffsetDelta);
  return entry.batches.find(
    (batch) => batch.baseSequence === header.baseSequence && batch.lastSequence === lastSequence,
  );
}

// Unlike Kafka since KIP-360, which takes any sequence of a producer it does not know. Otherwise:
//   1. A producer sends batches 0 and 1, pipelined. Batch 0 comes while there is no leader and is refused.
//   2. The election ends. Batch 1 comes, and would be the first of this producer.
//   3. Batch 0 comes again and is refused for good, or stands behind batch 1 under another epoch.
function checkFirst({ producerId, baseSequence }: BatchHeader): void {
  if (baseSequence === 0) return;
  throw new BarnabasError(
    'UNKNOWN_PRODUCER_ID',
    `nothing is known here of producer ${producerId}, which sent sequence ${baseSequence} where 0 is the first: retry behind the batch before it, or begin again with another epoch`,
    { producerId, baseSequence },
  );
}

function checkEpoch(entry: ProducerEntry, header: BatchHeader): void {
  if (header.producerEpoch >= entry.producerEpoch) return;
  throw new BarnabasError(
    'INVALID_PRODUCER_EPOCH',
    `producer ${header.producerId} writes with epoch ${header.producerEpoch}, but epoch ${entry.producerEpoch} has taken over: start the producer again`,
    { producerId: header.producerId, producerEpoch: header.producerEpoch, currentEpoch: entry.producerEpoch },
  );
}

function checkSequence(entry: ProducerEntry, header: BatchHeader): void {
  const last = header.producerEpoch === entry.producerEpoch ? entry.batches.at(-1) : undefined;
  const isNewEpoch = header.producerEpoch > entry.producerEpoch;
  // Nothing is known of an epoch that only a control batch has shown: any sequence may be its first.
  if (last === undefined && !isNewEpoch) return;
  const expected = last === undefined ? 0 : sequenceAfter(last.lastSequence, 1);
  if (header.baseSequence === expected) return;
  throw new BarnabasError(
    'OUT_OF_ORDER_SEQUENCE_NUMBER',
    `producer ${header.producerId} sent sequence ${header.baseSequence} where ${expected} is next: a batch before it is missing`,
    { producerId: header.producerId, baseSequence: header.baseSequence, expected },
  );
}
