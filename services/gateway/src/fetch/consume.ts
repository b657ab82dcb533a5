/**
 * LogService/Consume: the records of a topic, decoded, from all leaders of its partitions, as fast as
 * the client reads and no faster: leaders get credit again only for what the client's transport has
 * taken.
 *
 * The call fails with what consume-plan.ts finds, with what ends any of its partitions for good
 * (OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION when the topic is deleted, KAFKA_STORAGE_ERROR),
 * and with CORRUPT_MESSAGE for a batch that fails its CRC on the way. A move of a leader is no end.
 *
 * Invariants:
 *   C1  what is fetched and not sent is at most the stream's buffer, and one message more a leader
 *   C2  records of one partition go out in offset order, none below `from`, none at or above `until`
 */
import { FetchSession } from '@barnabas/client';
import type { FetchedData } from '@barnabas/client';
import { present } from '@barnabas/common';
import type { ConsumedChunk, v1 } from '@barnabas/protocol';
import { BarnabasError, consumedRecords, toBarnabasError } from '@barnabas/protocol';
import type { CallContext, ResponseStream } from '@barnabas/rpc';
import { planConsume } from './consume-plan.js';
import type { ConsumePlan, Reading } from './consume-plan.js';
import type { FetchParts } from './gateway-fetch.js';
import { sessionDefaults } from './subscribe-check.js';

interface Fetched {
  readonly reading: Reading;
  readonly data: FetchedData;
}

export class GatewayConsume {
  readonly #request: v1.ConsumeRequest;
  readonly #stream: ResponseStream<v1.ConsumeResponse>;
  readonly #parts: FetchParts;
  readonly #session: FetchSession;
  readonly #open = new Map<Reading, { close(): void }>();
  #fetched: Fetched[] = [];
  #fetchedBytes = 0;
  /** The rest of the message that is being sent. */
  #chunks: Generator<ConsumedChunk, void, undefined> | undefined;
  #left: number;
  #isBlocked = false;
  #isFlowing = false;
  #isOver = false;
  #stopWatching: () => void = () => {};

  constructor(
    request: v1.ConsumeRequest,
    stream: ResponseStream<v1.ConsumeResponse>,
    context: Pick<CallContext, 'timeoutMs'>,
    parts: FetchParts,
    onClose: () => void,
  ) {
    this.#request = request;
    this.#stream = stream;
    this.#parts = parts;
    this.#left = request.maxRecords === 0 ? Infinity : request.maxRecords;
    const { isolationLevel } = request;
    this.#session = new FetchSession(parts.router, {
      ...sessionDefaults,
      isolationLevel,
      windowBytes: parts.bufferBytes,
    });
    stream.handle({
      onMessage() {},
      onDrain: () => {
        this.#isBlocked = false;
        this.#guarded(() => this.#flow());
      },
      onClose: () => {
        this.#close();
        onClose();
      },
    });
    planConsume(request, parts, context).then(
      (plan) => this.#guarded(() => this.#start(plan)),
      (error: unknown) => this.#finish(toBarnabasError(error)),
    );
  }

  /** Bytes that wait for the client. */
  get queuedBytes(): number {
    return this.#fetchedBytes;
  }

  stop(error: BarnabasError): void {
    this.#finish(error);
  }

  #start({ topic, readings }: ConsumePlan): void {
    if (this.#isOver) return;
    this.#stopWatching = this.#parts.view.onChange(() => {
      if (this.#parts.view.topic(topic.name)?.topicId !== topic.topicId) this.#finish(deleted(topic.name));
    });
    for (const reading of readings) {
      const source = { topic: topic.name, partition: reading.partition };
      const subscription = this.#session.subscribe(
        source,
        { offset: reading.from },
        {
          onData: (data) => this.#receive(reading, data),
          onError: (error) => this.#finish(error),
        },
      );
      this.#open.set(reading, subscription);
    }
    for (const reading of readings) this.#endIfRead(reading, reading.from);
  }

  #receive(reading: Reading, data: FetchedData): void {
    this.#fetched.push({ reading, data });
    this.#fetchedBytes += data.batches.length;
    this.#guarded(() => this.#flow());
  }

  /** Sends what was fetched until the client's transport is full or there is nothing left. */
  #flow(): void {
    // Releasing data may bring the next before this is finished.
    if (this.#isFlowing) return;
    this.#isFlowing = true;
    try {
      while (!this.#isBlocked && !this.#isOver && this.#step());
    } finally {
      this.#isFlowing = false;
    }
  }

  /** Sends one chunk, or begins the next message; false when there is nothing to do. */
  #step(): boolean {
    const current = this.#fetched[0];
    if (current === undefined) return false;
    this.#chunks ??= this.#chunksOf(current);
    const next = this.#chunks.next();
    if (next.done === true) this.#endMessage(current);
    else this.#write(next.value);
    return true;
  }

  #chunksOf({ reading, data }: Fetched): Generator<ConsumedChunk, void, undefined> {
    const { from } = reading;
    // Of a partition that has been read to its end, what still comes was written after the call.
    const until = this.#open.has(reading) ? reading.until : from;
    const wanted = { topic: this.#request.topic, partition: reading.partition, from, until };
    return consumedRecords(wanted, data.batches, { checkCrcs: true });
  }

  #write({ records, bytes }: ConsumedChunk): void {
    const wanted = records.length > this.#left ? records.slice(0, this.#left) : records;
    this.#left -= wanted.length;
    this.#parts.metrics.consumed(this.#request.topic, wanted.length, bytes);
    this.#isBlocked = !this.#stream.write({ records: wanted });
    if (this.#left === 0) this.#finish(undefined);
  }

  #endMessage(current: Fetched): void {
    present(this.#fetched.shift(), 'the message that was being sent');
    this.#fetchedBytes -= current.data.batches.length;
    this.#chunks = undefined;
    this.#endIfRead(current.reading, current.data.nextOffset);
    current.data.release();
  }

  #endIfRead(reading: Reading, position: number): void {
    if (position < reading.until) return;
    this.#open.get(reading)?.close();
    this.#open.delete(reading);
    if (this.#open.size === 0) this.#finish(undefined);
  }

  #finish(error: BarnabasError | undefined): void {
    if (this.#isOver) return;
    if (error !== undefined) this.#parts.metrics.fetchFailed(error.errorName);
    this.#close();
    this.#stream.end(error);
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWatching();
    this.#session.close();
    this.#open.clear();
    this.#fetched = [];
    this.#fetchedBytes = 0;
  }

  /** A batch that does not decode ends the call; a broken invariant passes, to end the role. */
  #guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof BarnabasError)) throw error;
      this.#finish(error);
    }
  }
}

function deleted(topic: string): BarnabasError {
  return new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${topic} has been deleted`, { topic });
}
