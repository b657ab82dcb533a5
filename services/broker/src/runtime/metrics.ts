/** What the broker counts, under Kafka's names in Prometheus style. Once a batch or a request, never once a record. */
import type { Counter, Histogram, Metrics } from '@barnabas/common';

/** Seconds. */
const REQUEST_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The kinds of request that are timed, as Kafka names them. */
export type TimedRequest = 'Produce' | 'ListOffsets' | 'DeleteRecords' | 'InitProducerId';

/** Values that are worked out when somebody looks. */
const SAMPLED = {
  partitions: ['barnabas_partitions', 'Replicas on this broker (PartitionCount).'],
  leaders: ['barnabas_leader_partitions', 'Partitions that this broker leads (LeaderCount).'],
  offlineReplicas: ['barnabas_offline_replicas', 'Replicas whose log has failed (OfflineReplicaCount).'],
  underMinIsr: [
    'barnabas_under_min_isr_partitions',
    'Partitions led here with fewer in-sync replicas than min.insync.replicas (UnderMinIsrPartitionCount).',
  ],
  underReplicated: [
    'barnabas_under_replicated_partitions',
    'Partitions led here whose in-sync replicas are not all (UnderReplicatedPartitions).',
  ],
  atMinIsr: [
    'barnabas_at_min_isr_partitions',
    'Partitions led here with exactly min.insync.replicas in sync (AtMinIsrPartitionCount).',
  ],
  maxLag: ['barnabas_replica_max_lag', 'Records that the follower furthest behind on this broker lacks (MaxLag).'],
  purgatorySize: ['barnabas_produce_purgatory_size', 'Produce entries that wait for their acks (PurgatorySize).'],
  queuedRequestBytes: ['barnabas_queued_request_bytes', 'Bytes that wait for the disk; see queued.max.request.bytes.'],
} as const;

export type SampledValues = Readonly<Record<keyof typeof SAMPLED, () => number>>;

export class BrokerMetrics {
  readonly #messagesIn: Counter;
  readonly #bytesIn: Counter;
  readonly #bytesOut: Counter;
  readonly #bytesRejected: Counter;
  readonly #produceRequests: Counter;
  readonly #failedProduceRequests: Counter;
  readonly #fetchRequests: Counter;
  readonly #failedFetchRequests: Counter;
  readonly #isrShrinks: Counter;
  readonly #isrExpands: Counter;
  readonly #replicationBytesIn: Counter;
  readonly #replicationBytesOut: Counter;
  readonly #requestSeconds: Histogram;

  constructor(private readonly metrics: Metrics) {
    const topic = ['topic'];
    const counter = (name: string, help: string, labels: readonly string[] = topic) =>
      metrics.counter({ name, help, labels });
    this.#messagesIn = counter('barnabas_messages_in_total', 'Records appended (MessagesInPerSec).');
    this.#bytesIn = counter('barnabas_bytes_in_total', 'Bytes of batches appended (BytesInPerSec).');
    this.#bytesOut = counter('barnabas_bytes_out_total', 'Bytes of batches sent to consumers (BytesOutPerSec).');
    this.#bytesRejected = counter(
      'barnabas_bytes_rejected_total',
      'Bytes of produce entries refused (BytesRejectedPerSec).',
    );
    this.#produceRequests = counter(
      'barnabas_produce_requests_total',
      'Produce entries taken in (TotalProduceRequestsPerSec).',
    );
    this.#failedProduceRequests = counter(
      'barnabas_failed_produce_requests_total',
      'Produce entries that failed, by error (FailedProduceRequestsPerSec).',
      ['topic', 'error'],
    );
    this.#fetchRequests = counter(
      'barnabas_fetch_requests_total',
      'Messages sent on fetch streams (TotalFetchRequestsPerSec).',
    );
    this.#failedFetchRequests = counter(
      'barnabas_failed_fetch_requests_total',
      'Fetch subscriptions that ended with an error (FailedFetchRequestsPerSec).',
      ['topic', 'error'],
    );
    const none: readonly string[] = [];
    this.#isrShrinks = counter(
      'barnabas_isr_shrinks_total',
      'In-sync sets that lost a replica (IsrShrinksPerSec).',
      none,
    );
    this.#isrExpands = counter(
      'barnabas_isr_expands_total',
      'In-sync sets that won a replica (IsrExpandsPerSec).',
      none,
    );
    this.#replicationBytesIn = counter(
      'barnabas_replication_bytes_in_total',
      'Bytes of batches taken from leaders (ReplicationBytesInPerSec).',
      none,
    );
    this.#replicationBytesOut = counter(
      'barnabas_replication_bytes_out_total',
      'Bytes of batches sent to followers (ReplicationBytesOutPerSec).',
      none,
    );
    this.#requestSeconds = metrics.histogram({
      name: 'barnabas_request_seconds',
      help: 'From the arrival of a request to its answer (TotalTimeMs).',
      labels: ['request'],
      buckets: REQUEST_BUCKETS,
    });
  }

  appended(topic: string, records: number, bytes: number): void {
    this.#messagesIn.add(records, { topic });
    this.#bytesIn.add(bytes, { topic });
  }

  isrChanged(expanded: boolean, shrunk: boolean): void {
    if (expanded) this.#isrExpands.add(1);
    if (shrunk) this.#isrShrinks.add(1);
  }

  replicatedIn(bytes: number): void {
    this.#replicationBytesIn.add(bytes);
  }

  replicatedOut(bytes: number): void {
    this.#replicationBytesOut.add(bytes);
  }

  produceEntry(topic: string): void {
    this.#produceRequests.add(1, { topic });
  }

  produceFailed(topic: string, error: string, bytes: number): void {
    this.#failedProduceRequests.add(1, { topic, error });
    this.#bytesRejected.add(bytes, { topic });
  }

  fetched(topic: string, bytes: number): void {
    this.#fetchRequests.add(1, { topic });
    this.#bytesOut.add(bytes, { topic });
  }

  fetchFailed(topic: string, error: string): void {
    this.#failedFetchRequests.add(1, { topic, error });
  }

  requestTook(request: TimedRequest, ms: number): void {
    this.#requestSeconds.observe(ms / 1000, { request });
  }

  /** Gauges that are worked out when somebody looks. */
  sample(read: SampledValues): void {
    for (const [key, [name, help]] of Object.entries(SAMPLED) as [keyof SampledValues, readonly [string, string]][]) {
      this.metrics.sampled({ name, help }, read[key]);
    }
  }
}
