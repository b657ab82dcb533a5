/**
 * What is checked of a produce request at the door, before anything of it is routed.
 *
 * The whole request is refused with INVALID_REQUIRED_ACKS, INVALID_REQUEST (no entries, too many
 * entries or records, a negative timeout) or RECORD_LIST_TOO_LARGE.
 */
import { BarnabasError, v1 } from '@barnabas/protocol';

export interface RequestLimits {
  /** socket.request.max.bytes. */
  readonly maxRequestBytes: number;
  /** barnabas.request.max.records. */
  readonly maxRecords: number;
}

/** A request names few partitions; a larger count is a mistake or an attack. */
const MAX_ENTRIES = 10_000;

/** The bytes that the request brings. */
export function checkRequest(request: v1.ProduceRequest, { maxRequestBytes, maxRecords }: RequestLimits): number {
  const { entries, timeoutMs, acks } = request;
  if (v1.Acks[acks] === undefined) {
    throw new BarnabasError('INVALID_REQUIRED_ACKS', 'acks is one of ALL, LEADER and NONE');
  }
  if (entries.length === 0) throw new BarnabasError('INVALID_REQUEST', 'a produce request has at least one entry');
  if (entries.length > MAX_ENTRIES) {
    throw new BarnabasError('INVALID_REQUEST', `a produce request has at most ${MAX_ENTRIES} entries: split it`);
  }
  if (timeoutMs < 0) throw new BarnabasError('INVALID_REQUEST', 'timeout_ms must not be negative');
  let bytes = 0;
  let records = 0;
  for (const { payload } of entries) {
    if (payload?.$case === 'batch') bytes += payload.batch.length;
    if (payload?.$case !== 'records') continue;
    records += payload.records.records.length;
    for (const record of payload.records.records) bytes += recordBytes(record);
  }
  if (records > maxRecords) {
    throw new BarnabasError('INVALID_REQUEST', `a request has at most ${maxRecords} records: split it`, { records });
  }
  if (bytes > maxRequestBytes) {
    throw new BarnabasError(
      'RECORD_LIST_TOO_LARGE',
      `a request of ${bytes} bytes is larger than socket.request.max.bytes (${maxRequestBytes}): split it`,
      { bytes },
    );
  }
  return bytes;
}

/** Key, value and headers: what a record costs in memory, roughly. */
function recordBytes({ key, value, headers }: v1.Record): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += header.key.length + (header.value?.length ?? 0);
  return bytes;
}
