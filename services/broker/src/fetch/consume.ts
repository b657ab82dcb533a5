/**
 * LogService/Consume: the records of a topic's partitions led here, decoded. A fetch session whose
 * messages are decoded as fast as the client reads, and no faster: credit is granted again only once
 * what it brought has been taken by the transport.
 *
 * The call fails with what ends any of its partitions (see fetch.ts): a reader that must not miss
 * anything begins again where it was. INVALID_REQUEST for a partition named twice or a negative count.
 */
import { InvariantError, present } from '@barnabas/common';
import { BarnabasError, consumedRecords, errorFromProto, toBarnabasError } from '@barnabas/protocol';
import type { ConsumedChunk, v1 } from '@barnabas/protocol';
import type { ResponseStream } from '@barnabas/rpc';
import type { ReplicaPartition } from '../runtime/replica-driver.js';
import { FetchSession } from './fetch-session.js';
import type { EndReader, FetchDependencies } from './fetch-session.js';
import { startOffset } from './start-position.js';

/** Batches on their way between log and client: enough to keep both busy. */
const CREDIT_BYTES = 1024 * 1024;
const MESSAGE_BYTES = 256 * 1024;

/** One partition of the call. */
interface Reading {
  readonly partition: ReplicaPartition;
  /** First offset wanted. */
  readonly from: number;
  /** With stop_at_end: where the partition ended when the call came. */
  readonly until: number;
  done: boolean;
}

/** Returns what ends the call from this side. */
export function consume(
  request: v1.ConsumeRequest,
  stream: ResponseStream<v1.ConsumeResponse>,
  dependencies: FetchDependencies,
  onClose: () => void,
): EndReader {
  const session = new ConsumeSession(request, stream, dependencies);
  stream.handle({
    onMessage() {},
    onDrain: () => session.drained(),
    onClose: () => {
      session.close();
      onClose();
    },
  });
  session.start().catch((error: unknown) => session.fail(error));
  return (error) => session.fail(error);
}

export class ConsumeSession {
  readonly #session: FetchSession;
  /** By partition number, which is the subscription id. */
  readonly #readings = new Map<number, Reading>();
  /** Fetched and not yet decoded; bounded by the credit. */
  readonly #fetched: v1.FetchResponse[] = [];
  /** The rest of the message that is being sent, and the credit it gives back. */
  #chunks: Generator<ConsumedChunk, void, undefined> | undefined;
  #chunkCredit = 0;
  #left: number;
  #blocked = false;
  #flowing = false;
  #closed = false;

  constructor(
    private readonly request: v1.ConsumeRequest,
    private readonly stream: ResponseStream<v1.ConsumeResponse>,
    private readonly dependencies: FetchDependencies,
  ) {
    this.#session = new FetchSession(dependencies, (message) => this.#receive(message));
    this.#left = request.maxRecords === 0 ? Infinity : request.maxRecords;
  }

  async start(): Promise<void> {
    const readings = await Promise.all(this.#partitions().map((partition) => this.#reading(partition)));
    if (this.#closed) return;
    for (const reading of readings) this.#readings.set(reading.partition.partition, reading);
    for (const { partition, from } of readings) {
      this.#session.subscribe({
        subscriptionId: partition.partition,
        topic: partition.topic,
        partition: partition.partition,
        offset: from,
        leaderEpoch: undefined,
        lastFetchedEpoch: undefined,
        // Who has called here reads here: a leader does not send this reader elsewhere.
        rack: partition.isLeader ? undefined : this.request.rack,
        isolationLevel: this.request.isolationLevel,
        maxBytes: MESSAGE_BYTES,
        minBytes: 0,
        maxWaitMs: 0,
      });
    }
    this.#session.grant(CREDIT_BYTES);
    for (const reading of readings) this.#checkDone(reading, reading.from);
    this.#flow();
  }

  drained(): void {
    this.#blocked = false;
    this.#guarded(() => this.#flow());
  }

  fail(error: unknown): void {
    if (error instanceof InvariantError) this.dependencies.onFault(error);
    this.#finish(toBarnabasError(error));
  }

  close(): void {
    this.#closed = true;
    this.#fetched.length = 0;
    this.#session.close();
  }

  #partitions(): ReplicaPartition[] {
    const { topic, partitions, maxRecords } = this.request;
    if (maxRecords < 0) throw new BarnabasError('INVALID_REQUEST', 'max_records must not be negative');
    if (new Set(partitions).size !== partitions.length) {
      throw new BarnabasError('INVALID_REQUEST', 'a partition is named once');
    }
    const { lookup } = this.dependencies;
    const at = ((this.request.rack ?? '') === '' ? lookup.partition : lookup.readable).bind(lookup);
    const all = lookup.topic(topic).partitions.map((_, index) => index);
    return (partitions.length === 0 ? all : partitions).map((partition) => at(topic, partition));
  }

  async #reading(partition: ReplicaPartition): Promise<Reading> {
    const log = await this.dependencies.driver.openForReading(partition);
    const until = this.request.stopAtEnd ? partition.highWatermark : Infinity;
    return { partition, from: await startOffset(this.request.start, partition, log), until, done: false };
  }

  /** The session is held back by credit alone, so this is never full. */
  #receive(message: v1.FetchResponse): boolean {
    if (message.ended) {
      const reading = this.#readings.get(message.subscriptionId);
      if (message.error !== undefined && reading?.done !== true) this.#finish(errorFromProto(message.error));
      return true;
    }
    this.#fetched.push(message);
    this.#guarded(() => this.#flow());
    return true;
  }

  /** Sends what was fetched until the client's transport is full or there is nothing left. */
  #flow(): void {
    // Granting credit may bring the next message before this one is finished.
    if (this.#flowing) return;
    this.#flowing = true;
    try {
      while (!this.#blocked && !this.#closed && this.#step());
    } finally {
      this.#flowing = false;
    }
  }

  /** Sends one chunk, or begins the next message; false when there is nothing to do. */
  #step(): boolean {
    if (this.#chunks === undefined) return this.#beginNext();
    const next = this.#chunks.next();
    if (next.done === true) this.#endMessage();
    else this.#write(next.value);
    return true;
  }

  #beginNext(): boolean {
    const message = this.#fetched[0];
    if (message === undefined) return false;
    this.#chunks = this.#recordsOf(message);
    this.#chunkCredit = message.batches.length;
    return true;
  }

  #recordsOf(message: v1.FetchResponse): Generator<ConsumedChunk, void, undefined> {
    const reading = present(this.#readings.get(message.subscriptionId), 'the partition of a subscription');
    const { topic, partition } = reading.partition;
    // What follows `until` came after the call; `done` is when all of it has been sent.
    const until = reading.done ? 0 : reading.until;
    const wanted = { topic, partition, from: reading.from, until };
    // The log has checked what it read.
    return consumedRecords(wanted, message.batches, { checkCrcs: false });
  }

  #write({ records }: ConsumedChunk): void {
    const wanted = records.length > this.#left ? records.slice(0, this.#left) : records;
    this.#left -= wanted.length;
    this.#blocked = !this.stream.write({ records: wanted });
    if (this.#left === 0) this.#finish(undefined);
  }

  #endMessage(): void {
    const message = this.#fetched.shift();
    this.#chunks = undefined;
    const credit = this.#chunkCredit;
    this.#chunkCredit = 0;
    const reading = message === undefined ? undefined : this.#readings.get(message.subscriptionId);
    if (message !== undefined && reading !== undefined) this.#checkDone(reading, message.nextOffset);
    if (!this.#closed && credit > 0) this.#session.grant(credit);
  }

  #checkDone(reading: Reading, position: number): void {
    if (reading.done || position < reading.until) return;
    reading.done = true;
    this.#session.unsubscribe(reading.partition.partition);
    if ([...this.#readings.values()].every(({ done }) => done)) this.#finish(undefined);
  }

  #finish(error: BarnabasError | undefined): void {
    if (this.#closed) return;
    this.close();
    this.stream.end(error);
  }

  #guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.fail(error);
    }
  }
}
