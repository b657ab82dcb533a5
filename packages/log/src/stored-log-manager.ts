/**
 * All logs of one broker in one directory.
 *
 * Owns: which logs are open, their directories' life (made, deleted, swept), the checkpoint database
 * and with it the lock on the directory, and what logs share: open databases and the tail cache.
 * Does not decide which logs should exist: the broker compares storedLogs() with its metadata.
 */
import type { Timer } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { levelStoreFactory } from '@barnabas/store';
import type { StoreFactory } from '@barnabas/store';
import { Checkpoints } from './checkpoints.js';
import type { LogConfig } from './log-config.js';
import { deletedName, directoryName, parseDirectoryName } from './log-directory.js';
import { DEFAULT_LOG_LIMITS } from './log-limits.js';
import { logMetrics } from './log-metrics.js';
import type { LogMetrics } from './log-metrics.js';
import { OpenStores } from './open-stores.js';
import { failedStorage, nameOf } from './storage-errors.js';
import { StoredPartitionLog } from './stored-partition-log.js';
import { TailCache } from './tail-cache.js';
import type {
  LogLimits,
  LogManager,
  LogManagerOptions,
  LogManagerStats,
  PartitionLog,
  StoredLog,
  TopicPartition,
} from './types.js';

/**
 * Opens a log directory for one broker. Throws INCONSISTENT_CLUSTER_ID when it belongs to another
 * node, KAFKA_STORAGE_ERROR when another process uses it or the disk refuses.
 */
export async function openLogManager(options: LogManagerOptions): Promise<LogManager> {
  const factory = options.factory ?? levelStoreFactory;
  const checkpoints = await Checkpoints.open(factory, options.directory, options);
  const manager = new StoredLogManager(options, factory, checkpoints);
  await manager.sweepDeleted();
  return manager;
}

class StoredLogManager implements LogManager {
  readonly directory: string;
  readonly #limits: LogLimits;
  readonly #stores: OpenStores;
  readonly #cache: TailCache;
  readonly #metrics: LogMetrics;
  readonly #logs = new Map<string, StoredPartitionLog>();
  /** Opens, closes and deletions on their way, by log: each waits for the one before. */
  readonly #changing = new Map<string, Promise<unknown>>();
  readonly #deletions = new Set<Timer>();
  #checkpointTimer: Timer | undefined;
  #checkpointing: Promise<void> = Promise.resolve();
  #closed = false;
  /** Some log has gone offline since the start: what it had not synced may be lost. */
  #hasFailed = false;

  constructor(
    private readonly options: LogManagerOptions,
    private readonly factory: StoreFactory,
    private readonly checkpoints: Checkpoints,
  ) {
    this.directory = options.directory;
    this.#limits = { ...DEFAULT_LOG_LIMITS, ...options.limits };
    this.#cache = new TailCache(this.#limits.tailCacheBytes);
    this.#metrics = logMetrics(options.metrics);
    this.#stores = new OpenStores({
      factory,
      clock: options.clock,
      timers: options.timers,
      maxOpen: this.#limits.maxOpenDatabases,
      idleCloseMs: this.#limits.idleCloseMs,
      writeBufferBytes: this.#limits.writeBufferBytes,
      totalWriteBufferBytes: this.#limits.totalWriteBufferBytes,
      onCloseError: (location, error) =>
        options.logger.error('a partition database did not close cleanly', {
          location,
          error,
          action: 'check the disk; the log is recovered when it is next used',
        }),
    });
    this.#sampleGauges();
    this.#scheduleCheckpoint();
  }

  openLog(partition: TopicPartition, config: LogConfig): Promise<PartitionLog> {
    return this.#inTurn(partition, async () => {
      this.#mustBeOpen();
      const known = this.#logs.get(idOf(partition));
      if (known !== undefined) return known;
      const checkpointed = await this.checkpoints.read(partition.topicId, partition.partition);
      const cleaner = await this.checkpoints.readCleaner(partition.topicId, partition.partition);
      const log = await StoredPartitionLog.open(
        partition,
        config,
        {
          clock: this.options.clock,
          timers: this.options.timers,
          logger: this.options.logger,
          metrics: this.#metrics,
          limits: this.#limits,
          store: this.#stores.handle(this.#location(directoryName(partition))),
          tail: this.#cache.newTail(),
          persistLogStart: () => this.#writeCheckpoints([this.#mustHave(partition)], true),
          persistCleaner: (checkpoint) =>
            this.checkpoints.writeCleaner(partition.topicId, partition.partition, checkpoint),
          onOffline: (failed, error) => {
            this.#hasFailed = true;
            this.options.onOffline?.(failed, error);
          },
        },
        checkpointed,
        cleaner,
      );
      this.#logs.set(idOf(partition), log);
      return log;
    });
  }

  log(topicId: string, partition: number): PartitionLog | undefined {
    return this.#logs.get(idOf({ topicId, partition }));
  }

  logs(): readonly PartitionLog[] {
    return [...this.#logs.values()];
  }

  closeLog(topicId: string, partition: number): Promise<void> {
    return this.#inTurn({ topicId, partition }, () => this.#closeLog(topicId, partition));
  }

  deleteLog(topicId: string, partition: number): Promise<void> {
    return this.#inTurn({ topicId, partition }, async () => {
      const stored = await this.#find(topicId, partition);
      const log = this.#logs.get(idOf({ topicId, partition }));
      const target = log ?? stored;
      if (target === undefined) return;
      const location = this.#location(directoryName(target));
      this.#logs.delete(idOf(target));
      await log?.abandon();
      await this.#stores.close(location);
      await this.checkpoints.forget(topicId, partition);
      if (stored === undefined) return;
      const doomed = this.#location(deletedName(target));
      await this.factory.rename(this.#location(stored.name), doomed).catch((error: unknown) => {
        throw failedStorage(target, error);
      });
      this.#destroyAfter(doomed, log?.config.fileDeleteDelayMs ?? 0);
    });
  }

  async storedLogs(): Promise<readonly StoredLog[]> {
    const found: StoredLog[] = [];
    for (const name of await this.factory.list(this.directory)) {
      const parsed = parseDirectoryName(name);
      if (parsed === undefined || parsed.isDeleted) continue;
      const { topicId, partition } = parsed;
      // The directory may have only the beginning of a long name.
      const topic = this.log(topicId, partition)?.topic ?? parsed.topic;
      found.push({ topic, topicId, partition, directory: this.#location(name) });
    }
    return found;
  }

  checkpoint(): Promise<void> {
    return this.#writeCheckpoints(this.#logs.values(), false);
  }

  stats(): LogManagerStats {
    return {
      logs: this.#logs.size,
      openDatabases: this.#stores.size,
      tailCacheBytes: this.#cache.bytes,
      offlineLogs: [...this.#logs.values()].filter((log) => log.offline !== undefined).length,
    };
  }

  get cleanShutdownEpoch(): number {
    return this.checkpoints.cleanShutdownEpoch;
  }

  async close({ cleanShutdownEpoch }: { readonly cleanShutdownEpoch?: number | undefined } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#checkpointTimer?.cancel();
    for (const timer of this.#deletions) timer.cancel();
    await Promise.allSettled(this.#changing.values());
    const logs = [...this.#logs.values()];
    const results = await Promise.allSettled(logs.map((log) => log.close()));
    await this.#writeCheckpoints(logs, true);
    await this.#stores.closeAll();
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined && !this.#hasFailed && cleanShutdownEpoch !== undefined)
      await this.checkpoints.stoppedInOrder(cleanShutdownEpoch);
    await this.checkpoints.close();
    this.#logs.clear();
    if (failed !== undefined) throw failed.reason;
  }

  /** Files of logs that were deleted before the last stop go now. */
  async sweepDeleted(): Promise<void> {
    for (const name of await this.factory.list(this.directory)) {
      if (parseDirectoryName(name)?.isDeleted === true) await this.#destroy(this.#location(name));
    }
  }

  async #closeLog(topicId: string, partition: number): Promise<void> {
    const log = this.#logs.get(idOf({ topicId, partition }));
    if (log === undefined) return;
    await log.close();
    await this.#writeCheckpoints([log], true);
    this.#logs.delete(idOf(log));
    await this.#stores.close(this.#location(directoryName(log)));
  }

  #writeCheckpoints(logs: Iterable<StoredPartitionLog>, sync: boolean): Promise<void> {
    const entries = [...logs].map((log) => ({
      topicId: log.topicId,
      partition: log.partition,
      checkpoint: { highWatermark: log.highWatermark, logStartOffset: log.logStartOffset },
    }));
    // One after the other, so that an older picture never overwrites a newer one.
    const writing = this.#checkpointing.then(() => this.checkpoints.write(entries, { sync }));
    this.#checkpointing = writing.catch(() => undefined);
    return writing;
  }

  #scheduleCheckpoint(): void {
    this.#checkpointTimer = this.options.timers.after(this.#limits.checkpointIntervalMs, () => {
      this.checkpoint()
        .catch((error: unknown) =>
          this.options.logger.error('high watermarks could not be checkpointed', {
            directory: this.directory,
            error,
            action: 'check the disk: after a restart consumers may wait for the high watermark to be found again',
          }),
        )
        .finally(() => {
          if (!this.#closed) this.#scheduleCheckpoint();
        });
    });
  }

  #destroyAfter(location: string, delayMs: number): void {
    const timer = this.options.timers.after(delayMs, () => {
      this.#deletions.delete(timer);
      void this.#destroy(location);
    });
    this.#deletions.add(timer);
  }

  async #destroy(location: string): Promise<void> {
    try {
      await this.factory.destroy(location);
    } catch (error) {
      this.options.logger.warn('files of a deleted log could not be removed', {
        location,
        error,
        action: 'remove the directory by hand; it is tried again at the next start',
      });
    }
  }

  async #find(topicId: string, partition: number): Promise<(StoredLog & { readonly name: string }) | undefined> {
    const stored = (await this.storedLogs()).find((log) => log.topicId === topicId && log.partition === partition);
    return stored && { ...stored, name: stored.directory.slice(this.directory.length + 1) };
  }

  async #inTurn<T>(log: Pick<TopicPartition, 'topicId' | 'partition'>, job: () => Promise<T>): Promise<T> {
    const id = idOf(log);
    const before = this.#changing.get(id) ?? Promise.resolve();
    const turn = before.then(job, job);
    this.#changing.set(id, turn);
    try {
      return await turn;
    } finally {
      if (this.#changing.get(id) === turn) this.#changing.delete(id);
    }
  }

  #mustHave(partition: TopicPartition): StoredPartitionLog {
    const log = this.#logs.get(idOf(partition));
    if (log === undefined) throw new BarnabasError('KAFKA_STORAGE_ERROR', `${nameOf(partition)} is closed`);
    return log;
  }

  #mustBeOpen(): void {
    if (!this.#closed) return;
    throw new BarnabasError('KAFKA_STORAGE_ERROR', `the logs in ${this.directory} are closed: the broker is stopping`);
  }

  #location(name: string): string {
    return `${this.directory}/${name}`;
  }

  #sampleGauges(): void {
    const { metrics } = this.options;
    const gauge = (name: string, help: string, read: (stats: LogManagerStats) => number): void =>
      metrics.sampled({ name, help }, () => read(this.stats()));
    gauge('barnabas_log_open_databases', 'Partition databases open at the moment.', (stats) => stats.openDatabases);
    gauge('barnabas_log_tail_cache_bytes', 'Bytes of recent batches in memory.', (stats) => stats.tailCacheBytes);
    gauge('barnabas_log_offline_partitions', 'Partition logs that are offline.', (stats) => stats.offlineLogs);
  }
}

function idOf({ topicId, partition }: Pick<TopicPartition, 'topicId' | 'partition'>): string {
  return `${topicId}/${partition}`;
}
