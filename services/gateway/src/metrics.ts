/** What the gateway counts. Once a request or a batch, never once a record; topics that exist, never names that clients make up. */
import type { Counter, Metrics } from '@barnabas/common';
import type { Placement } from './produce/placement.js';

/** Values that are worked out when somebody looks. */
const SAMPLED = {
  queuedBytes: [
    'barnabas_gateway_queued_request_bytes',
    'Bytes taken from clients and not written yet; see queued.max.request.bytes.',
  ],
  fetchBufferedBytes: ['barnabas_gateway_fetch_buffered_bytes', 'Bytes of batches that wait for clients to read.'],
  produceStreams: ['barnabas_gateway_produce_streams', 'Produce streams open.'],
  readers: ['barnabas_gateway_readers', 'Fetch and consume streams open.'],
} as const;

export type SampledValues = Readonly<Record<keyof typeof SAMPLED, () => number>>;

export class GatewayMetrics {
  readonly #produced: Counter;
  readonly #produceFailures: Counter;
  readonly #fetchedBytes: Counter;
  readonly #fetchFailures: Counter;
  readonly #consumedRecords: Counter;

  constructor(private readonly metrics: Metrics) {
    const counter = (name: string, help: string, label: string) => metrics.counter({ name, help, labels: [label] });
    this.#produced = counter('barnabas_gateway_produce_entries_total', 'Produce entries acknowledged.', 'topic');
    this.#produceFailures = counter(
      'barnabas_gateway_failed_produce_entries_total',
      'Produce entries that failed, by error.',
      'error',
    );
    this.#fetchedBytes = counter('barnabas_gateway_fetched_bytes_total', 'Bytes of batches sent to readers.', 'topic');
    this.#fetchFailures = counter(
      'barnabas_gateway_failed_fetches_total',
      'Fetch subscriptions and consume calls that ended with an error, by error.',
      'error',
    );
    this.#consumedRecords = counter('barnabas_gateway_consumed_records_total', 'Records sent decoded.', 'topic');
  }

  produced(topic: string, placements: readonly Placement[]): void {
    for (const { error } of placements) {
      if (error === undefined) this.#produced.add(1, { topic });
      else this.produceFailed(error.errorName);
    }
  }

  produceFailed(error: string): void {
    this.#produceFailures.add(1, { error });
  }

  fetched(topic: string, bytes: number): void {
    this.#fetchedBytes.add(bytes, { topic });
  }

  fetchFailed(error: string): void {
    this.#fetchFailures.add(1, { error });
  }

  consumed(topic: string, records: number, bytes: number): void {
    this.#consumedRecords.add(records, { topic });
    this.#fetchedBytes.add(bytes, { topic });
  }

  sample(read: SampledValues): void {
    for (const [key, [name, help]] of Object.entries(SAMPLED) as [keyof SampledValues, readonly [string, string]][]) {
      this.metrics.sampled({ name, help }, read[key]);
    }
  }
}
