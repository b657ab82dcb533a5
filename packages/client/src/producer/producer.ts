/**
 * The producer: records in, promises of where they went out. Batching, memory and waiting are the
 * accumulator's; order, retries and leaders are the lanes' and the dispatcher's.
 */
import type { Counter } from '@barnabas/common';
import { BarnabasError, toBarnabasError, v1 } from '@barnabas/protocol';
import type { PartitionMetadata } from '../cluster/cluster-view.js';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { sleep } from '../cluster/backoff.js';
import { resolveProducerOptions } from '../options/producer-options.js';
import type { Acks, ProducerOptions, ResolvedProducerOptions } from '../options/producer-options.js';
import { isFailure } from '../produce/outbound.js';
import type { AppendResult } from '../produce/outbound.js';
import { ProduceDispatcher } from '../produce/produce-dispatcher.js';
import type { ProducerRecord, RecordMetadata } from '../records.js';
import { Accumulator } from './accumulator.js';
import type { ProducerBatch, Resolve } from './producer-batch.js';
import { ProducerIds } from './producer-ids.js';

const ACKS_ON_THE_WIRE: Readonly<Record<Acks, v1.Acks>> = {
  all: v1.Acks.ALL,
  1: v1.Acks.LEADER,
  0: v1.Acks.NONE,
};

// One executor for all promises: a closure a record would cost a third of what sending it does.
let lastResolve: Resolve;
const capture = (resolve: Resolve): void => {
  lastResolve = resolve;
};

export class Producer {
  readonly #router: ClusterRouter;
  readonly #options: ResolvedProducerOptions;
  readonly #dispatcher: ProduceDispatcher;
  readonly #accumulator: Accumulator;
  readonly #stopListening: () => void;
  readonly #onClosed: () => void;
  readonly #records: Counter;
  readonly #errors: Counter;
  #closing: Promise<void> | undefined;

  /** Made by BarnabasClient.producer. */
  constructor(router: ClusterRouter, given: ProducerOptions = {}, onClosed: () => void = () => undefined) {
    const options = resolveProducerOptions(given);
    this.#router = router;
    this.#options = options;
    this.#onClosed = onClosed;
    this.#dispatcher = new ProduceDispatcher(router, {
      acks: ACKS_ON_THE_WIRE[options.acks],
      isAnswered: options.acks !== 0,
      maxInFlight: options.maxInFlight,
      maxRequestSize: options.maxRequestSize,
      requestTimeoutMs: options.requestTimeoutMs,
    });
    const ids = options.enableIdempotence ? this.#producerIds() : undefined;
    this.#accumulator = new Accumulator({
      router,
      dispatcher: this.#dispatcher,
      ids,
      options,
      onSettled: (batch, outcome) => this.#onSettled(batch, outcome),
      onRefused: (source, error) => this.#onRefused(source, error),
    });
    this.#stopListening = router.onChange(() => this.#accumulator.refreshTopics());
    const { metrics } = router.environment;
    this.#records = metrics.counter({
      name: 'barnabas_producer_records_total',
      help: 'Records acknowledged',
    });
    this.#errors = metrics.counter({
      name: 'barnabas_producer_record_errors_total',
      help: 'Records that failed',
      labels: ['error'],
    });
  }

  /**
   * Sends a record. The promise resolves when the record is acknowledged as `acks` asks, and rejects
   * with a BarnabasError when it has failed for good; records of a partition are appended in the
   * order of the calls. Past buffer.memory the record waits; see `writable`.
   */
  send(record: ProducerRecord): Promise<RecordMetadata> {
    if (this.#closing !== undefined) return Promise.reject(closed());
    const promise = new Promise<RecordMetadata>(capture);
    const resolve = lastResolve;
    const source = this.#options.interceptors.length === 0 ? record : this.#intercept(record);
    try {
      this.#accumulator.add(source, resolve);
    } catch (thrown) {
      const error = toBarnabasError(thrown);
      resolve(Promise.reject(error));
      this.#onRefused(source, error);
    }
    return promise;
  }

  /** False: buffer.memory is full. Stop sending and wait for `drained`, or records wait up to max.block.ms and then fail. */
  get writable(): boolean {
    return this.#accumulator.isWritable;
  }

  /** Resolves when `writable` is true. */
  drained(): Promise<void> {
    return this.#accumulator.drained();
  }

  /** Sends what lingers, and resolves when every record sent before has its outcome. Does not reject: `send` tells. */
  flush(): Promise<void> {
    return this.#accumulator.flush();
  }

  /** The topic's partitions and their leaders. Waits for a topic that is not known, for max.block.ms at most. */
  async partitionsFor(topic: string): Promise<readonly PartitionMetadata[]> {
    const { maxBlockMs, allowAutoCreateTopics } = this.#options;
    const options = { timeoutMs: maxBlockMs, allowAutoTopicCreation: allowAutoCreateTopics };
    return (await this.#router.view.ensureTopic(topic, options)).partitions;
  }

  /**
   * Refuses new records, waits for those under way (delivery.timeout.ms bounds that) but no longer
   * than `timeoutMs`, and ends. What is not acknowledged by then fails with REQUEST_TIMED_OUT.
   */
  close(timeoutMs: number = Number.POSITIVE_INFINITY): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs: number): Promise<void> {
    const flushed = this.#accumulator.flush();
    const { timers } = this.#router.environment;
    await (timeoutMs === Number.POSITIVE_INFINITY ? flushed : Promise.race([flushed, sleep(timers, timeoutMs)]));
    const error = new BarnabasError('REQUEST_TIMED_OUT', 'the producer was closed before the acknowledgement came');
    this.#stopListening();
    this.#accumulator.abort(error);
    this.#dispatcher.close(error);
    this.#onClosed();
  }

  #producerIds(): ProducerIds {
    return new ProducerIds({
      router: this.#router,
      timeoutMs: this.#options.deliveryTimeoutMs,
      onReady: () => this.#accumulator.idReady(),
      onFailed: (error) => this.#accumulator.abort(error),
    });
  }

  #intercept(record: ProducerRecord): ProducerRecord {
    return this.#options.interceptors.reduce((current, interceptor) => {
      try {
        return interceptor.onSend?.(current) ?? current;
      } catch (error) {
        this.#interceptorFailed('onSend', error);
        return current;
      }
    }, record);
  }

  #onSettled(batch: ProducerBatch, outcome: AppendResult | BarnabasError): void {
    if (isFailure(outcome)) this.#errors.add(batch.recordCount, { error: outcome.errorName });
    else this.#records.add(batch.recordCount);
    batch.sources.forEach((source, index) => {
      if (isFailure(outcome)) this.#acknowledge(undefined, outcome, source);
      else this.#acknowledge(batch.metadata(outcome, index), undefined, source);
    });
  }

  #onRefused(source: ProducerRecord, error: BarnabasError): void {
    this.#errors.add(1, { error: error.errorName });
    this.#acknowledge(undefined, error, source);
  }

  #acknowledge(metadata: RecordMetadata | undefined, error: BarnabasError | undefined, source: ProducerRecord): void {
    for (const interceptor of this.#options.interceptors) {
      try {
        interceptor.onAcknowledgement?.(metadata, error, source);
      } catch (thrown) {
        this.#interceptorFailed('onAcknowledgement', thrown);
      }
    }
  }

  #interceptorFailed(where: string, error: unknown): void {
    this.#router.environment.logger.warn('a producer interceptor threw and was passed over', {
      where,
      error,
      action: 'correct the interceptor',
    });
  }
}

function closed(): BarnabasError {
  return new BarnabasError('INVALID_REQUEST', 'the producer is closed');
}
