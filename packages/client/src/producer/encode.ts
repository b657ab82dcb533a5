/** An application's record as the batch builder takes it. Refuses what is neither text nor bytes. */
import { BarnabasError } from '@barnabas/protocol';
import type { Record as BatchRecord, RecordHeader } from '@barnabas/protocol';
import type { ProducerHeaders, ProducerRecord, RecordBytes } from '../records.js';

const NO_HEADERS: readonly RecordHeader[] = Object.freeze([]);

export function encodeRecord(record: ProducerRecord, nowMs: number): BatchRecord {
  const { key, value, headers, timestamp } = record;
  return {
    key: key === undefined || key === null ? null : toBytes(key, 'key'),
    value: value === null ? null : toBytes(value, 'value'),
    headers: headers === undefined ? NO_HEADERS : encodeHeaders(headers),
    timestamp: timestamp ?? nowMs,
  };
}

function toBytes(value: RecordBytes, what: string): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  if (value instanceof Uint8Array) return value;
  throw new BarnabasError('INVALID_RECORD', `the ${what} of a record must be text, bytes or null, not ${typeof value}`);
}

function encodeHeaders(headers: ProducerHeaders): readonly RecordHeader[] {
  const list = Array.isArray(headers)
    ? (headers as readonly { readonly key: string; readonly value: RecordBytes | null }[])
    : Object.entries(headers as Readonly<Record<string, RecordBytes | null>>).map(([key, value]) => ({ key, value }));
  return list.map(({ key, value }) => {
    if (typeof key !== 'string') throw new BarnabasError('INVALID_RECORD', 'the name of a header must be text');
    return { key, value: value === null ? null : toBytes(value, `header ${key}`) };
  });
}
