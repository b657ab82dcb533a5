/**
 * Takes produce requests in: checks them at the door, hands each entry to the replica driver, and
 * puts the answers together. Shared by Produce and ProduceStream.
 *
 * The whole request is refused with INVALID_REQUIRED_ACKS, INVALID_REQUEST (no entries, too many,
 * a negative timeout) or RECORD_LIST_TOO_LARGE. An entry alone is refused with what entry-check.ts,
 * the log and the replica manager say; the others go on.
 * Protocol: docs/protocols/produce.md.
 */
import { InvariantError } from '@barnabas/common';
import type { Clock, Timer, Timers } from '@barnabas/common';
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import type { ByteAccount } from '@barnabas/rpc';
import type { Acks, PartitionName, ProduceOutcome } from '../core/index.js';
import type { BrokerMetrics } from '../runtime/metrics.js';
import type { ProduceToken, ReplicaDriver } from '../runtime/replica-driver.js';
import type { EntryCheck } from './entry-check.js';

/** Kafka's default of request.timeout.ms. */
const DEFAULT_TIMEOUT_MS = 30_000;
/** A request names few partitions; a larger count is a mistake or an attack. */
const MAX_ENTRIES = 10_000;
/** A request that is older than this is slow: what is done of it is answered, if its client likes. */
const SLOW_AFTER_MS = 20;

export interface ProduceServiceOptions {
  readonly driver: ReplicaDriver;
  readonly check: EntryCheck;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: BrokerMetrics;
  /** socket.request.max.bytes. */
  readonly maxRequestBytes: number;
}

export class ProduceService {
  constructor(private readonly options: ProduceServiceOptions) {}

  /** The bytes that a request brings, by which budgets are kept. Throws what refuses the request as a whole. */
  admissible(request: v1.ProduceRequest): number {
    const { entries, timeoutMs } = request;
    acksOf(request.acks);
    if (entries.length === 0) throw new BarnabasError('INVALID_REQUEST', 'a produce request has at least one entry');
    if (entries.length > MAX_ENTRIES) {
      throw new BarnabasError('INVALID_REQUEST', `a produce request has at most ${MAX_ENTRIES} entries: split it`);
    }
    if (timeoutMs < 0) throw new BarnabasError('INVALID_REQUEST', 'timeout_ms must not be negative');
    let bytes = 0;
    for (const entry of entries) bytes += payloadBytes(entry);
    if (bytes > this.options.maxRequestBytes) {
      throw new BarnabasError(
        'RECORD_LIST_TOO_LARGE',
        `a request of ${bytes} bytes is larger than socket.request.max.bytes (${this.options.maxRequestBytes}): split it`,
        { bytes },
      );
    }
    return bytes;
  }

  /**
   * Hands every entry on, in order and at once. `done` is called once, when every entry has its answer,
   * with all results, or with those that `early` has not had.
   * `isOurs`: nobody else has the request, so that the log may keep its buffer.
   * `early`: takes results while others of the request are not there yet, once it has become slow.
   */
  submit(request: v1.ProduceRequest, isOurs: boolean, budget: ByteAccount, done: Answer, early?: Answer): void {
    const { clock, timers } = this.options;
    const acks = acksOf(request.acks);
    const deadline = clock.monotonic() + (request.timeoutMs === 0 ? DEFAULT_TIMEOUT_MS : request.timeoutMs);
    const startedAt = clock.monotonic();
    const finished: Answer = (response) => {
      this.options.metrics.requestTook('Produce', clock.monotonic() - startedAt);
      done(response);
    };
    const whenSlow = (then: () => void): Timer =>
      timers.after(Math.max(0, startedAt + SLOW_AFTER_MS - clock.monotonic()), then);
    const call = new ProduceCall(request.entries.length, finished, early && { whenSlow, answer: early });
    const keeps = isOurs && fillsItsBuffer(request);
    request.entries.forEach((entry, index) => this.#submitEntry(call, entry, index, acks, deadline, keeps, budget));
  }

  #submitEntry(
    call: ProduceCall,
    entry: v1.ProduceEntry,
    index: number,
    acks: Acks,
    deadline: number,
    keeps: boolean,
    budget: ByteAccount,
  ): void {
    const { driver, check, metrics } = this.options;
    try {
      const { partition, batches, made } = check.check(entry);
      metrics.produceEntry(entry.topic);
      const token = new EntryToken(call, index, partition, batches.length, budget, metrics);
      driver.produce(partition, { batches, handedOver: made || keeps, acks, deadline, token });
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      const error = toBarnabasError(caught);
      metrics.produceFailed(knownTopic(error, entry.topic), error.errorName, payloadBytes(entry));
      const { topic, partition = -1 } = entry;
      call.answer(refusedResult({ topic, partition }, index, error));
    }
  }
}

type Answer = (response: v1.ProduceResponse) => void;

/** What takes a part of an answer, and calls back when a request has become slow, at the earliest in the next turn. */
interface Early {
  readonly answer: Answer;
  whenSlow(then: () => void): Timer;
}

/** One request on its way: gathers the answers to its entries. */
class ProduceCall {
  #results: v1.ProduceResult[] = [];
  #missing: number;
  /** Runs while there are results that somebody would like to have early. */
  #timer: Timer | undefined;

  constructor(
    entries: number,
    private readonly done: Answer,
    private readonly early: Early | undefined,
  ) {
    this.#missing = entries;
  }

  answer(result: v1.ProduceResult): void {
    this.#results.push(result);
    this.#missing -= 1;
    if (this.#missing === 0) {
      this.#timer?.cancel();
      this.done(this.#take());
    } else {
      this.#timer ??= this.early?.whenSlow(() => {
        this.#timer = undefined;
        this.early?.answer(this.#take());
      });
    }
  }

  #take(): v1.ProduceResponse {
    const results = this.#results.sort((one, other) => one.entry - other.entry);
    this.#results = [];
    return { results };
  }
}

/** One entry on its way; see ProduceToken. Holds nothing of the request, whose bytes may be large. */
class EntryToken implements ProduceToken {
  #withLog = false;

  constructor(
    private readonly call: ProduceCall,
    private readonly index: number,
    private readonly at: PartitionName,
    private readonly bytes: number,
    private readonly budget: ByteAccount,
    private readonly metrics: BrokerMetrics,
  ) {
    budget.take(bytes);
  }

  appended(): void {
    this.#withLog = true;
  }

  written(): void {
    this.budget.give(this.bytes);
  }

  answer(outcome: ProduceOutcome): void {
    // What the log has taken waits for the disk whatever the answer was.
    if (outcome.kind === 'refused' && !this.#withLog) this.budget.give(this.bytes);
    this.call.answer(this.#result(outcome));
  }

  #result(outcome: ProduceOutcome): v1.ProduceResult {
    const { topic, partition } = this.at;
    switch (outcome.kind) {
      case 'appended':
        return {
          entry: this.index,
          topic,
          partition,
          baseOffset: outcome.baseOffset,
          logAppendTimeMs: outcome.logAppendTimeMs,
          logStartOffset: outcome.logStartOffset,
          error: undefined,
          recordIndexes: [],
        };
      case 'refused':
        this.metrics.produceFailed(topic, outcome.error.errorName, this.bytes);
        return refusedResult(this.at, this.index, outcome.error);
    }
  }
}

function acksOf(acks: v1.Acks): Acks {
  switch (acks) {
    case v1.Acks.UNSPECIFIED:
    case v1.Acks.ALL:
      return 'all';
    case v1.Acks.LEADER:
      return 'leader';
    case v1.Acks.NONE:
      return 'none';
    default:
      throw new BarnabasError('INVALID_REQUIRED_ACKS', 'acks is one of ALL, LEADER and NONE');
  }
}

/** Bytes of keys, values and header values, or of the batches: what the entry costs in memory, roughly. */
function payloadBytes({ payload }: v1.ProduceEntry): number {
  switch (payload?.$case) {
    case 'batch':
      return payload.batch.length;
    case 'records': {
      let bytes = 0;
      for (const record of payload.records.records) bytes += recordBytes(record);
      return bytes;
    }
    case undefined:
      return 0;
  }
}

/**
 * The batches make up most of the memory that they keep alive. Entries of one request are received in
 * one buffer and leave the log's cache at about the same time.
 */
function fillsItsBuffer({ entries }: v1.ProduceRequest): boolean {
  const payload = entries[0]?.payload;
  if (payload?.$case !== 'batch') return false;
  let bytes = 0;
  for (const entry of entries) bytes += payloadBytes(entry);
  return bytes * 2 >= payload.batch.buffer.byteLength;
}

function recordBytes({ key, value, headers }: v1.Record): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += header.key.length + (header.value?.length ?? 0);
  return bytes;
}

function refusedResult({ topic, partition }: PartitionName, entry: number, error: BarnabasError): v1.ProduceResult {
  return {
    entry,
    topic,
    partition,
    baseOffset: -1,
    logAppendTimeMs: -1,
    logStartOffset: -1,
    error: errorToProto(error),
    recordIndexes: [],
  };
}

/** A name that a client made up must not become a metric of its own. */
function knownTopic(error: BarnabasError, topic: string): string {
  const unknown = error.errorName === 'UNKNOWN_TOPIC_OR_PARTITION' || error.errorName === 'INVALID_TOPIC_EXCEPTION';
  return unknown ? '' : topic;
}
