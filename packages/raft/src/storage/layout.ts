/**
 * How a node's state lies in its key-value store, byte for byte. All numbers big-endian; u64 is an
 * unsigned 64-bit integer below 2^53. Every value begins with the CRC32C of the rest of it.
 *
 *   m                  identity       crc u32, JSON {formatVersion, clusterId, nodeId, directoryId}
 *   h                  hard state     crc u32, term u64, has vote u8, vote u32
 *   p                  snapshot       crc u32, id u64, index u64, term u64, chunks u32, configuration
 *   c id u64 seq u32   snapshot chunk crc u32, (length u32, record)*
 *   e index u64        entry          crc u32, length u32, ~length u32, index u64, term u64, kind u8, command
 *
 * An entry carries its own index, so that one under a wrong key is noticed, and its length twice, so
 * that a changed length is not taken for an unfinished write. Configurations, here and in the commands
 * of entries that change them, stand as core/configuration.ts encodes them. Formatting writes the
 * snapshot at index 0, without chunks, with the first configuration.
 *
 * Version 1 had neither directory ids nor configurations.
 */
import { crc32c } from '@barnabas/protocol';
import { assert } from '@barnabas/common';
import { decodeConfiguration, encodeConfiguration, isMembershipChange } from '../core/index.js';
import type { Configuration, Entry, HardState, SnapshotMark } from '../core/index.js';

/** Why a value cannot be used. `torn`: it ends early, as a write cut off by a crash does. */
export type Damage = 'torn' | 'corrupt';

export interface Identity {
  readonly clusterId: string;
  readonly nodeId: number;
  /** Made when the store was formatted: another store of this node is another replica. */
  readonly directoryId: string;
}

/** Where a snapshot's content lies. */
export interface SnapshotPointer {
  readonly id: number;
  readonly mark: SnapshotMark;
  readonly chunks: number;
  /** As of the snapshot. */
  readonly configuration: Configuration;
}

export const FORMAT_VERSION = 2;
const CRC_BYTES = 4;
const ENTRY_LENGTHS_END = 12;
const ENTRY_HEADER_BYTES = 29;
const POINTER_HEADER_BYTES = 32;
const KINDS: readonly Entry['kind'][] = ['command', 'noop', 'addLearner', 'promote', 'remove', 'update'];

export const IDENTITY_KEY = Buffer.from('m');
export const HARD_STATE_KEY = Buffer.from('h');
export const SNAPSHOT_KEY = Buffer.from('p');

export function entryKey(index: number): Buffer {
  const key = Buffer.allocUnsafe(9);
  key.write('e');
  writeU64(key, index, 1);
  return key;
}

export function chunkKey(id: number, sequence: number): Buffer {
  const key = Buffer.allocUnsafe(13);
  key.write('c');
  writeU64(key, id, 1);
  key.writeUInt32BE(sequence, 9);
  return key;
}

export const indexOfEntryKey = (key: Buffer): number => readU64(key, 1);
export const idOfChunkKey = (key: Buffer): number => readU64(key, 1);

export function encodeIdentity({ clusterId, nodeId, directoryId }: Identity): Buffer {
  const json = Buffer.from(JSON.stringify({ formatVersion: FORMAT_VERSION, clusterId, nodeId, directoryId }));
  return seal(Buffer.concat([Buffer.alloc(CRC_BYTES), json]));
}

/** Of a format that this version does not know, its version. */
export function decodeIdentity(value: Buffer): Identity | { readonly formatVersion: number } | Damage {
  if (!isSealed(value)) return 'corrupt';
  const parsed = JSON.parse(value.toString('utf8', CRC_BYTES)) as Identity & { formatVersion: number };
  const { formatVersion, clusterId, nodeId, directoryId } = parsed;
  return formatVersion === FORMAT_VERSION ? { clusterId, nodeId, directoryId } : { formatVersion };
}

export function encodeHardState({ term, votedFor }: HardState): Buffer {
  const value = Buffer.alloc(17);
  writeU64(value, term, 4);
  value.writeUInt8(votedFor === undefined ? 0 : 1, 12);
  value.writeUInt32BE(votedFor ?? 0, 13);
  return seal(value);
}

export function decodeHardState(value: Buffer): HardState | Damage {
  if (value.length !== 17 || !isSealed(value)) return 'corrupt';
  const voted = value.readUInt8(12) === 1;
  return { term: readU64(value, 4), votedFor: voted ? value.readUInt32BE(13) : undefined };
}

export function encodeSnapshotPointer({ id, mark, chunks, configuration }: SnapshotPointer): Buffer {
  const value = Buffer.alloc(POINTER_HEADER_BYTES);
  writeU64(value, id, 4);
  writeU64(value, mark.index, 12);
  writeU64(value, mark.term, 20);
  value.writeUInt32BE(chunks, 28);
  return seal(Buffer.concat([value, encodeConfiguration(configuration)]));
}

export function decodeSnapshotPointer(value: Buffer): SnapshotPointer | Damage {
  if (value.length < POINTER_HEADER_BYTES || !isSealed(value)) return 'corrupt';
  const mark = { index: readU64(value, 12), term: readU64(value, 20) };
  const configuration = decodeConfiguration(value.subarray(POINTER_HEADER_BYTES));
  if (configuration === undefined) return 'corrupt';
  return { id: readU64(value, 4), mark, chunks: value.readUInt32BE(28), configuration };
}

export function encodeChunk(records: readonly Uint8Array[]): Buffer {
  const bytes = records.reduce((sum, record) => sum + 4 + record.length, CRC_BYTES);
  const value = Buffer.allocUnsafe(bytes);
  let at = CRC_BYTES;
  for (const record of records) {
    at = value.writeUInt32BE(record.length, at);
    value.set(record, at);
    at += record.length;
  }
  return seal(value);
}

/** The records are views of `value`. */
export function decodeChunk(value: Buffer): Buffer[] | Damage {
  if (!isSealed(value)) return 'corrupt';
  const records: Buffer[] = [];
  for (let at = CRC_BYTES; at < value.length; ) {
    const start = at + 4;
    if (start > value.length) return 'corrupt';
    at = start + value.readUInt32BE(at);
    if (at > value.length) return 'corrupt';
    records.push(value.subarray(start, at));
  }
  return records;
}

export function encodeEntry({ index, term, kind, command }: Entry): Buffer {
  const value = Buffer.allocUnsafe(ENTRY_HEADER_BYTES + command.length);
  value.writeUInt32BE(command.length, 4);
  value.writeUInt32BE(~command.length >>> 0, 8);
  writeU64(value, index, 12);
  writeU64(value, term, 20);
  value.writeUInt8(KINDS.indexOf(kind), 28);
  value.set(command, ENTRY_HEADER_BYTES);
  return seal(value);
}

/** The command is a view of `value`. */
export function decodeEntry(value: Buffer): Entry | Damage {
  if (value.length < ENTRY_LENGTHS_END) return 'torn';
  const length = value.readUInt32BE(4);
  if (value.readUInt32BE(8) !== ~length >>> 0) return 'corrupt';
  if (value.length < ENTRY_HEADER_BYTES + length) return 'torn';
  const kind = KINDS[value.readUInt8(28)];
  if (!isSealed(value) || kind === undefined) return 'corrupt';
  const command = value.subarray(ENTRY_HEADER_BYTES);
  if (isMembershipChange(kind) && decodeConfiguration(command) === undefined) return 'corrupt';
  return { index: readU64(value, 12), term: readU64(value, 20), kind, command };
}

function seal(value: Buffer): Buffer {
  value.writeUInt32BE(crc32c(value.subarray(CRC_BYTES)), 0);
  return value;
}

function isSealed(value: Buffer): boolean {
  return value.length >= CRC_BYTES && value.readUInt32BE(0) === crc32c(value.subarray(CRC_BYTES));
}

function writeU64(buffer: Buffer, value: number, at: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'a stored number is a safe integer', { value });
  buffer.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  buffer.writeUInt32BE(value % 2 ** 32, at + 4);
}

function readU64(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4);
}
