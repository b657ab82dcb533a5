/**
 * A producer's options. Times are milliseconds, sizes bytes. Names are Kafka's in camel case,
 * defaults Kafka's.
 */
import type { CompressionType } from '@barnabas/protocol';
import { COMPRESSION_TYPES, compressionLevel } from '@barnabas/protocol';
import type { ProducerInterceptor } from '../interceptors.js';
import type { Partitioner } from '../producer/partitioner.js';
import {
  flag,
  illegalOption,
  integer,
  listOfObjects,
  MAX_MESSAGE_BYTES,
  oneOf,
  optional,
  resolveOptions,
  such,
} from './option-table.js';
import type { OptionTable } from './option-table.js';

/** Whose durability an acknowledgement promises: every in-sync replica's, the leader's, nobody's. */
export type Acks = 'all' | 1 | 0;

export interface ProducerOptions {
  /** `all`, 1 or 0; see Acks. Default `all` (acks). */
  readonly acks?: Acks;
  /** How long a record waits for others to share its batch. ms, default 5 (linger.ms). */
  readonly lingerMs?: number;
  /** A batch is sent when it has this size before compression. bytes, default 16,384 (batch.size). */
  readonly batchSize?: number;
  /** What batches that are not acknowledged yet may take together; past it `send` waits. bytes, default 33,554,432 (buffer.memory). */
  readonly bufferMemory?: number;
  /** How long `send` may wait for buffer memory and for metadata before it rejects. ms, default 60,000 (max.block.ms). */
  readonly maxBlockMs?: number;
  /** The largest request and the largest batch before compression; at most 15 MiB. bytes, default 1,048,576 (max.request.size). */
  readonly maxRequestSize?: number;
  /** `none`, `gzip`, `snappy`, `lz4` or `zstd`. Default `none` (compression.type). */
  readonly compressionType?: CompressionType;
  /** For gzip 1 to 9, for zstd 1 to 22; default the codec's own (compression.gzip.level, compression.zstd.level). */
  readonly compressionLevel?: number | undefined;
  /** From `send` to a record's outcome, retries included. At least lingerMs + requestTimeoutMs. ms, default 120,000 (delivery.timeout.ms). */
  readonly deliveryTimeoutMs?: number;
  /** How long a leader may take to answer before its requests count as lost. ms, default 30,000 (request.timeout.ms). */
  readonly requestTimeoutMs?: number;
  /** How often a batch is sent again within deliveryTimeoutMs. Default 2,147,483,647 (retries). */
  readonly retries?: number;
  /**
   * Requests on their way to one leader at once. Default 5 (max.in.flight.requests.per.connection).
   * Order in a partition holds whatever this is: a producer that is not idempotent has one request a
   * partition on its way, into which it packs all that is ready.
   */
  readonly maxInFlight?: number;
  /** Retries write no duplicates. Needs acks `all` and maxInFlight of at most 5. Default: on where these allow it (enable.idempotence). */
  readonly enableIdempotence?: boolean | undefined;
  /** Chooses partitions; default Kafka's: murmur2 of the key, sticky without one (partitioner.class). */
  readonly partitioner?: Partitioner | undefined;
  /** The default partitioner spreads records without keys over all partitions regardless of keys. Default false (partitioner.ignore.keys). */
  readonly partitionerIgnoreKeys?: boolean;
  /** The sticky partitioner prefers partitions with fewer batches waiting. Default true (partitioner.adaptive.partitioning.enable). */
  readonly partitionerAdaptivePartitioningEnable?: boolean;
  /** Ask the cluster to create topics it does not know, if it allows that. Default true (allow.auto.create.topics). */
  readonly allowAutoCreateTopics?: boolean;
  /** See ProducerInterceptor. Default none (interceptor.classes). */
  readonly interceptors?: readonly ProducerInterceptor[];
}

type Resolved = Required<ProducerOptions>;
export type ResolvedProducerOptions = Readonly<Omit<Resolved, 'enableIdempotence'> & { enableIdempotence: boolean }>;

/** A leader remembers the last five batches of a producer; more on their way could not be told from duplicates. */
export const MAX_IN_FLIGHT_WITH_IDEMPOTENCE = 5;

export const PRODUCER_OPTIONS: OptionTable<Resolved> = {
  acks: { kafka: 'acks', type: oneOf('all', 1, 0), default: 'all' },
  lingerMs: { kafka: 'linger.ms', type: integer(0), default: 5 },
  batchSize: { kafka: 'batch.size', type: integer(1), default: 16_384 },
  bufferMemory: { kafka: 'buffer.memory', type: integer(1, Number.MAX_SAFE_INTEGER), default: 33_554_432 },
  maxBlockMs: { kafka: 'max.block.ms', type: integer(0), default: 60_000 },
  maxRequestSize: { kafka: 'max.request.size', type: integer(1, MAX_MESSAGE_BYTES), default: 1_048_576 },
  compressionType: { kafka: 'compression.type', type: oneOf(...COMPRESSION_TYPES), default: 'none' },
  compressionLevel: { type: optional(integer(1, 22)), default: undefined },
  deliveryTimeoutMs: { kafka: 'delivery.timeout.ms', type: integer(1), default: 120_000 },
  requestTimeoutMs: { kafka: 'request.timeout.ms', type: integer(1), default: 30_000 },
  retries: { kafka: 'retries', type: integer(0), default: 2 ** 31 - 1 },
  maxInFlight: { kafka: 'max.in.flight.requests.per.connection', type: integer(1), default: 5 },
  enableIdempotence: { kafka: 'enable.idempotence', type: optional(flag), default: undefined },
  partitioner: {
    kafka: 'partitioner.class',
    type: optional(such('a partitioner', (value) => typeof value === 'function')),
    default: undefined,
  },
  partitionerIgnoreKeys: { kafka: 'partitioner.ignore.keys', type: flag, default: false },
  partitionerAdaptivePartitioningEnable: {
    kafka: 'partitioner.adaptive.partitioning.enable',
    type: flag,
    default: true,
  },
  allowAutoCreateTopics: { kafka: 'allow.auto.create.topics', type: flag, default: true },
  interceptors: { kafka: 'interceptor.classes', type: listOfObjects(), default: [] },
};

export function resolveProducerOptions(given: ProducerOptions): ResolvedProducerOptions {
  const options = resolveOptions('producer', PRODUCER_OPTIONS, given);
  checkTimes(options, given);
  checkSizes(options);
  compressionLevel(options.compressionType, options.compressionLevel);
  const deliveryTimeoutMs =
    given.deliveryTimeoutMs ?? Math.max(options.deliveryTimeoutMs, options.lingerMs + options.requestTimeoutMs);
  return Object.freeze({ ...options, deliveryTimeoutMs, enableIdempotence: idempotence(options) });
}

/** Kafka raises the default silently and refuses a value that was given. */
function checkTimes({ lingerMs, requestTimeoutMs }: Resolved, given: ProducerOptions): void {
  const { deliveryTimeoutMs } = given;
  if (deliveryTimeoutMs === undefined || deliveryTimeoutMs >= lingerMs + requestTimeoutMs) return;
  const allowed = `at least lingerMs + requestTimeoutMs (${lingerMs + requestTimeoutMs})`;
  throw illegalOption('producer', 'deliveryTimeoutMs', deliveryTimeoutMs, allowed);
}

function checkSizes({ batchSize, bufferMemory }: Resolved): void {
  if (batchSize <= bufferMemory) return;
  throw illegalOption('producer', 'batchSize', batchSize, `at most bufferMemory (${bufferMemory})`);
}

function idempotence({ acks, maxInFlight, retries, enableIdempotence }: Resolved): boolean {
  const isPossible = acks === 'all' && maxInFlight <= MAX_IN_FLIGHT_WITH_IDEMPOTENCE && retries > 0;
  if (enableIdempotence !== true || isPossible) return enableIdempotence ?? isPossible;
  if (acks !== 'all') throw illegalOption('producer', 'acks', acks, 'all with enableIdempotence');
  if (retries === 0) throw illegalOption('producer', 'retries', retries, 'above 0 with enableIdempotence');
  const allowed = `at most ${MAX_IN_FLIGHT_WITH_IDEMPOTENCE} with enableIdempotence`;
  throw illegalOption('producer', 'maxInFlight', maxInFlight, allowed);
}
