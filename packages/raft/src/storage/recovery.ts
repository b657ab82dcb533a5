/**
 * Reads a node's state from its store after a start, and decides what damage means:
 *
 *   a new store                          refused: it is formatted first (format.ts)
 *   another cluster's or node's store, another format's    refused
 *   entries and chunks that a snapshot has replaced, chunks of one never finished
 *                                        removed: a crash came between the switch and the clean-up
 *   a last entry that ends early         cut: its write was never finished, so never acknowledged
 *   anything else that does not fit      refused. Dropping an entry that was acknowledged could let a
 *                                        majority forget it; the operator must replace the node's disk.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { Logger } from '@barnabas/common';
import type { KeyValueStore } from '@barnabas/store';
import type { Entry, HardState, SnapshotMark } from '../core/index.js';
import * as layout from './layout.js';
import type { Damage, Identity, SnapshotPointer } from './layout.js';

export interface Recovered {
  readonly hardState: HardState;
  readonly pointer: SnapshotPointer;
  readonly entries: Entry[];
  /** An id that no chunk on disk carries. */
  readonly nextSnapshotId: number;
  readonly identity: Identity;
}

const NO_HARD_STATE: HardState = { term: 0, votedFor: undefined };
const READ_BYTES = 1 << 20;
const AFTER_CHUNKS = Buffer.from('d');
const AFTER_ENTRIES = Buffer.from('f');

/** Whose store this is; undefined for one that is not formatted. */
export async function readIdentity(store: KeyValueStore): Promise<Identity | undefined> {
  const value = await store.get(layout.IDENTITY_KEY);
  if (value === undefined) return undefined;
  const identity = sound(layout.decodeIdentity(value), 'the identity of the node');
  if ('formatVersion' in identity) {
    throw new BarnabasError(
      'UNSUPPORTED_VERSION',
      `this metadata log is of format ${identity.formatVersion}, this version reads format ${layout.FORMAT_VERSION}: ` +
        'format a new directory, or start the version that wrote it',
      { ...identity },
    );
  }
  return identity;
}

export async function recover(
  store: KeyValueStore,
  expected: Pick<Identity, 'clusterId' | 'nodeId'>,
  logger: Logger,
): Promise<Recovered> {
  const identity = await checkIdentity(store, expected);
  const hardState = await readValue(store, layout.HARD_STATE_KEY, layout.decodeHardState, 'the term and vote');
  const pointer = await readValue(store, layout.SNAPSHOT_KEY, layout.decodeSnapshotPointer, 'the snapshot');
  if (pointer === undefined) throw damaged('it does not say which snapshot it begins with');
  const nextSnapshotId = await removeOtherChunks(store, pointer);
  await store.clear({ gte: layout.entryKey(0), lt: layout.entryKey(pointer.mark.index + 1) });
  const entries = await readEntries(store, pointer.mark, logger);
  const lastTerm = entries.at(-1)?.term ?? pointer.mark.term;
  if (lastTerm > (hardState?.term ?? 0)) throw damaged(`the stored term lies before the log's last term, ${lastTerm}`);
  return { hardState: hardState ?? NO_HARD_STATE, pointer, entries, nextSnapshotId, identity };
}

async function checkIdentity(
  store: KeyValueStore,
  expected: Pick<Identity, 'clusterId' | 'nodeId'>,
): Promise<Identity> {
  const found = await readIdentity(store);
  if (found === undefined) throw damaged('it does not say whose it is');
  if (found.clusterId !== expected.clusterId) {
    throw new BarnabasError(
      'INCONSISTENT_CLUSTER_ID',
      `this metadata log belongs to cluster ${found.clusterId}, not ${expected.clusterId}: start the node with its own data directory`,
      { ...found },
    );
  }
  if (found.nodeId !== expected.nodeId) {
    throw new BarnabasError(
      'INVALID_CONFIG',
      `this metadata log belongs to node ${found.nodeId}, not ${expected.nodeId}: correct node.id or the data directory`,
      { ...found },
    );
  }
  return found;
}

async function removeOtherChunks(store: KeyValueStore, pointer: SnapshotPointer): Promise<number> {
  await store.clear({ gte: layout.chunkKey(0, 0), lt: layout.chunkKey(pointer.id, 0) });
  await store.clear({ gte: layout.chunkKey(pointer.id + 1, 0), lt: AFTER_CHUNKS });
  return pointer.id + 1;
}

async function readEntries(store: KeyValueStore, snapshot: SnapshotMark, logger: Logger): Promise<Entry[]> {
  const entries: Entry[] = [];
  let torn: Buffer | undefined;
  const range = { gte: layout.entryKey(snapshot.index + 1), lt: AFTER_ENTRIES, chunkBytes: READ_BYTES };
  for await (const chunk of store.read(range)) {
    for (const { key, value } of chunk) {
      const index = layout.indexOfEntryKey(key);
      if (torn !== undefined) throw damaged(`entry ${index - 1} of the log ends early, and more entries follow`);
      const decoded = layout.decodeEntry(value);
      if (decoded === 'torn') torn = key;
      else entries.push(follows(sound(decoded, `entry ${index} of the log`), index, entries.at(-1) ?? snapshot));
    }
  }
  if (torn !== undefined) {
    logger.warn('the last entry of the metadata log was not written to its end: cut', {
      index: layout.indexOfEntryKey(torn),
      action: 'none: it had not been acknowledged',
    });
    await store.write([{ type: 'del', key: torn }], { sync: true });
  }
  return entries;
}

function follows(entry: Entry, keyIndex: number, previous: SnapshotMark): Entry {
  if (keyIndex !== previous.index + 1) throw damaged(`entry ${previous.index + 1} of the log is missing`);
  if (entry.index !== keyIndex) throw damaged(`entry ${entry.index} stands where entry ${keyIndex} belongs`);
  if (entry.term < previous.term) throw damaged(`entry ${keyIndex} is of an earlier term than the one before`);
  return entry;
}

async function readValue<T extends object>(
  store: KeyValueStore,
  key: Buffer,
  decode: (value: Buffer) => T | Damage,
  what: string,
): Promise<T | undefined> {
  const value = await store.get(key);
  return value === undefined ? undefined : sound(decode(value), what);
}

/** The value, unless it is damaged. */
export function sound<T extends object>(value: T | Damage, what: string): T {
  if (typeof value === 'string') throw damaged(`${what} fails its checksum`);
  return value;
}

export function damaged(what: string): BarnabasError {
  return new BarnabasError(
    'KAFKA_STORAGE_ERROR',
    `the metadata log on disk is damaged: ${what}. Do not start this node from it: ` +
      'check the disk, restore the data directory, or replace the node in the quorum',
  );
}
