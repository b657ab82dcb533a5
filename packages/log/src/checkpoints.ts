/**
 * The small database of a log directory: whose it is, whether it was left in good order, and what
 * changes in place, which would spoil the growing keys of a partition's own database: high watermarks,
 * log start offsets, and how far logs are compacted.
 *
 * Its being open is the lock on the directory: a second process is refused by LevelDB.
 */
import { decodeCleanerCheckpoint, encodeCleanerCheckpoint } from './compaction/cleaner-checkpoint.js';
import type { CleanerCheckpoint } from './compaction/cleaner-checkpoint.js';
import { BarnabasError, crc32c } from '@barnabas/protocol';
import { StoreError } from '@barnabas/store';
import type { KeyValueStore, StoreFactory, StoreOperation } from '@barnabas/store';

export interface Checkpoint {
  readonly highWatermark: number;
  readonly logStartOffset: number;
}

export const CHECKPOINTS = 'checkpoints';

const NOTHING: Checkpoint = { highWatermark: 0, logStartOffset: 0 };
const OWNER_KEY = Buffer.from('owner');
const CLEAN_SHUTDOWN_KEY = Buffer.from('clean-shutdown');
const OWNER_VERSION = 1;
const VALUE_BYTES = 20;
/** Little is written here, so little is reserved. */
const WRITE_BUFFER_BYTES = 256 * 1024;

export class Checkpoints {
  /** As on disk, to write only what changed. */
  readonly #written = new Map<string, Checkpoint>();

  private constructor(
    private readonly store: KeyValueStore,
    /** The broker epoch under which this directory was last closed in good order; -1 if it was not. */
    readonly cleanShutdownEpoch: number,
  ) {}

  /** Locks the directory. Throws INCONSISTENT_CLUSTER_ID when it belongs to somebody else. */
  static async open(
    factory: StoreFactory,
    directory: string,
    owner: { readonly clusterId: string; readonly nodeId: number },
  ): Promise<Checkpoints> {
    const store = await factory
      .open(`${directory}/${CHECKPOINTS}`, { writeBufferBytes: WRITE_BUFFER_BYTES })
      .catch((error: unknown) => {
        throw directoryFailure(directory, error);
      });
    try {
      await checkOwner(store, directory, owner);
      return new Checkpoints(store, await takeCleanShutdown(store));
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  async read(topicId: string, partition: number): Promise<Checkpoint> {
    const key = keyFor(topicId, partition);
    const value = await this.store.get(Buffer.from(key));
    const checkpoint = value === undefined ? undefined : decode(value);
    if (checkpoint !== undefined) this.#written.set(key, checkpoint);
    return checkpoint ?? NOTHING;
  }

  /** Writes those that changed, in one write. */
  async write(
    entries: Iterable<{ readonly topicId: string; readonly partition: number; readonly checkpoint: Checkpoint }>,
    options: { readonly sync: boolean },
  ): Promise<void> {
    const operations: StoreOperation[] = [];
    const changed = new Map<string, Checkpoint>();
    for (const { topicId, partition, checkpoint } of entries) {
      const key = keyFor(topicId, partition);
      const before = this.#written.get(key) ?? NOTHING;
      const isSame =
        before.highWatermark === checkpoint.highWatermark && before.logStartOffset === checkpoint.logStartOffset;
      if (isSame) continue;
      operations.push({ type: 'put', key: Buffer.from(key), value: encode(checkpoint) });
      changed.set(key, checkpoint);
    }
    if (operations.length === 0 && !options.sync) return;
    await this.store.write(operations, options);
    for (const [key, checkpoint] of changed) this.#written.set(key, checkpoint);
  }

  async readCleaner(topicId: string, partition: number): Promise<CleanerCheckpoint> {
    return decodeCleanerCheckpoint(await this.store.get(cleanerKeyFor(topicId, partition)));
  }

  /** Synced: what follows may rest on it. */
  async writeCleaner(topicId: string, partition: number, checkpoint: CleanerCheckpoint): Promise<void> {
    const value = encodeCleanerCheckpoint(checkpoint);
    await this.store.write([{ type: 'put', key: cleanerKeyFor(topicId, partition), value }], { sync: true });
  }

  async forget(topicId: string, partition: number): Promise<void> {
    const key = keyFor(topicId, partition);
    this.#written.delete(key);
    const keys = [Buffer.from(key), cleanerKeyFor(topicId, partition)];
    await this.store.write(
      keys.map((each) => ({ type: 'del', key: each })),
      { sync: false },
    );
  }

  /** Everything is on disk; nothing is written afterwards. */
  async stoppedInOrder(brokerEpoch: number): Promise<void> {
    const value = Buffer.from(JSON.stringify({ brokerEpoch }));
    await this.store.write([{ type: 'put', key: CLEAN_SHUTDOWN_KEY, value }], { sync: true });
  }

  close(): Promise<void> {
    return this.store.close();
  }
}

/** It holds for one start: from here on a crash is a crash. */
async function takeCleanShutdown(store: KeyValueStore): Promise<number> {
  const value = await store.get(CLEAN_SHUTDOWN_KEY);
  if (value === undefined) return -1;
  await store.write([{ type: 'del', key: CLEAN_SHUTDOWN_KEY }], { sync: true });
  try {
    const { brokerEpoch } = JSON.parse(value.toString()) as { brokerEpoch?: unknown };
    return typeof brokerEpoch === 'number' && Number.isSafeInteger(brokerEpoch) ? brokerEpoch : -1;
  } catch {
    return -1;
  }
}

function keyFor(topicId: string, partition: number): string {
  return `log/${topicId}/${partition}`;
}

function cleanerKeyFor(topicId: string, partition: number): Buffer {
  return Buffer.from(`cleaner/${topicId}/${partition}`);
}

function encode({ highWatermark, logStartOffset }: Checkpoint): Buffer {
  const value = Buffer.allocUnsafe(VALUE_BYTES);
  value.writeBigInt64BE(BigInt(highWatermark), 0);
  value.writeBigInt64BE(BigInt(logStartOffset), 8);
  value.writeUInt32BE(crc32c(value.subarray(0, 16)), 16);
  return value;
}

/** Undefined for damaged bytes: both offsets have a safe substitute, 0, which the log itself corrects. */
function decode(value: Buffer): Checkpoint | undefined {
  if (value.length !== VALUE_BYTES || value.readUInt32BE(16) !== crc32c(value.subarray(0, 16))) return undefined;
  return { highWatermark: Number(value.readBigInt64BE(0)), logStartOffset: Number(value.readBigInt64BE(8)) };
}

async function checkOwner(
  store: KeyValueStore,
  directory: string,
  owner: { readonly clusterId: string; readonly nodeId: number },
): Promise<void> {
  const found = await store.get(OWNER_KEY);
  const ours = JSON.stringify({ version: OWNER_VERSION, clusterId: owner.clusterId, nodeId: owner.nodeId });
  if (found === undefined) {
    await store.write([{ type: 'put', key: OWNER_KEY, value: Buffer.from(ours) }], { sync: true });
    return;
  }
  if (found.toString() === ours) return;
  throw new BarnabasError(
    'INCONSISTENT_CLUSTER_ID',
    `${directory} belongs to ${found.toString()}, not to cluster ${owner.clusterId}, node ${owner.nodeId}: set log.dir, cluster.id and node.id to what belongs together`,
    { directory, clusterId: owner.clusterId, nodeId: owner.nodeId },
  );
}

function directoryFailure(directory: string, error: unknown): Error {
  if (!(error instanceof StoreError)) return error instanceof Error ? error : new Error(String(error));
  const why =
    error.kind === 'locked'
      ? `${directory} is in use by another process: stop it, or give each broker its own log.dir`
      : `${directory} cannot be used: ${error.message}`;
  return new BarnabasError('KAFKA_STORAGE_ERROR', why, { directory, kind: error.kind }, { cause: error });
}
