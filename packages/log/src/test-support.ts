/** Builders and a small world for the tests of this package. Not exported from it. */
import { noMetrics, silentLogger, VirtualTime } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { BatchBuilder, decodeRecords } from '@barnabas/protocol';
import type { BarnabasError, BatchFields, CompressionType, Record as LogRecord } from '@barnabas/protocol';
import { MemoryStoreFactory } from '@barnabas/store';
import type { MemoryStore, StoreFactory } from '@barnabas/store';
import { DEFAULT_LOG_CONFIG, openLogManager } from './index.js';
import type { LogConfig, LogLimits, LogManager, PartitionLog, TopicPartition } from './index.js';

export const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAA';
export const ORDERS: TopicPartition = { topic: 'orders', topicId: TOPIC_ID, partition: 3 };
export const DIRECTORY = '/logs';
export const ORDERS_LOCATION = `${DIRECTORY}/orders-3.${TOPIC_ID}`;

export interface BatchOptions extends Partial<BatchFields> {
  readonly compression?: CompressionType;
  /** One for each record; the last one repeats. */
  readonly timestamps?: readonly number[];
}

/** A batch of one record for each value. */
export function batchOf(values: readonly string[], options: BatchOptions = {}): Buffer {
  const { compression = 'none', timestamps = [1_700_000_000_000], ...fields } = options;
  const builder = new BatchBuilder({ compression, maxBytes: 64 * 1024 * 1024, maxBatchBytes: 64 * 1024 * 1024 });
  values.forEach((value, index) => {
    const timestamp = timestamps[Math.min(index, timestamps.length - 1)] ?? -1;
    const record: LogRecord = { key: null, value: Buffer.from(value), headers: [], timestamp };
    if (!builder.tryAppend(record)) throw new Error('the batch is full');
  });
  return builder.build({ producerId: -1, producerEpoch: -1, baseSequence: -1, ...fields });
}

export function valuesOf(batches: readonly Buffer[]): string[] {
  return batches.flatMap((batch) => decodeRecords(batch).map((record) => String(record.value)));
}

/** Everything from an offset on, record by record, read in steps of `maxBytes`. */
export async function readAll(
  log: PartitionLog,
  from = log.logStartOffset,
  { maxBytes = 300, maxOffset = log.logEndOffset } = {},
): Promise<string[]> {
  const found: string[] = [];
  for (let offset = from; offset < maxOffset; ) {
    const { batches, nextOffset } = await log.read({ offset, maxBytes, maxOffset, minOneBatch: true });
    for (const batch of batches) {
      for (const record of decodeRecords(batch)) if (record.offset >= from) found.push(String(record.value));
    }
    if (nextOffset === offset) throw new Error(`nothing was read at ${offset}`);
    offset = nextOffset;
  }
  return found;
}

export interface WorldOptions {
  readonly factory?: StoreFactory;
  readonly directory?: string;
  readonly limits?: Partial<LogLimits>;
  readonly logger?: Logger;
}

/** One broker's logs over memory stores (or others), in virtual time. */
export class World {
  readonly time = new VirtualTime();
  readonly memory = new MemoryStoreFactory();
  readonly offline: BarnabasError[] = [];
  readonly warnings: string[] = [];
  #manager: LogManager | undefined;
  #life = 0;

  constructor(private readonly options: WorldOptions = {}) {}

  get directory(): string {
    return this.options.directory ?? DIRECTORY;
  }

  async manager(owner: { readonly clusterId?: string; readonly nodeId?: number } = {}): Promise<LogManager> {
    const life = this.#life;
    const logger: Logger = { ...silentLogger, warn: (message) => this.warnings.push(message) };
    this.#manager ??= await openLogManager({
      clock: this.time,
      timers: this.time,
      logger: this.options.logger ?? logger,
      metrics: noMetrics,
      directory: this.directory,
      clusterId: owner.clusterId ?? 'cluster-a',
      nodeId: owner.nodeId ?? 1,
      factory: this.options.factory ?? this.memory,
      limits: this.options.limits ?? {},
      // Whatever a dead broker still says is not heard.
      onOffline: (_log, error) => life === this.#life && this.offline.push(error),
    });
    return this.#manager;
  }

  async open(config: Partial<LogConfig> = {}, partition: TopicPartition = ORDERS): Promise<PartitionLog> {
    return (await this.manager()).openLog(partition, { ...DEFAULT_LOG_CONFIG, ...config });
  }

  /** Stops in order. */
  async stop(cleanShutdownEpoch?: number): Promise<void> {
    await this.#manager?.close({ cleanShutdownEpoch });
    this.#manager = undefined;
  }

  async reopen(config: Partial<LogConfig> = {}): Promise<PartitionLog> {
    await this.stop();
    return this.open(config);
  }

  /** The machine dies; the next open starts anew. */
  crash(how: { readonly random?: Parameters<MemoryStore['crash']>[0]; readonly holes?: boolean } = {}): void {
    this.memory.crash(how.random, { holes: how.holes ?? false });
    this.#manager = undefined;
    this.#life++;
  }

  /** The open memory store of the partition. */
  store(location = ORDERS_LOCATION): MemoryStore {
    const store = this.memory.store(location);
    if (store === undefined) throw new Error(`no store is open at ${location}`);
    return store;
  }

  append(log: PartitionLog, values: readonly string[], options: BatchOptions & { leaderEpoch?: number } = {}) {
    const { leaderEpoch = Math.max(0, log.latestEpoch), ...batch } = options;
    return log.appendAsLeader(batchOf(values, batch), { leaderEpoch, now: this.time.now() });
  }
}
