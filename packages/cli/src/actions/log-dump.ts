/**
 * `barnabas log dump DIRECTORY`: every batch of a partition's directory with the verdict on its CRC.
 * Fails if a batch is corrupt, or missing between two others.
 */
import { dumpLog, partitionOfDirectory } from '@barnabas/log';
import type { DumpedEntry } from '@barnabas/log';
import { iterateRecords } from '@barnabas/protocol';
import type { BatchHeader, StoredRecord } from '@barnabas/protocol';
import { StoreError } from '@barnabas/store';
import type { Action, CommandContext } from '../command-context.js';
import { CliError } from '../errors.js';
import { jsonBytes, shownBytes } from '../text/shown-bytes.js';
import { formatBytes } from '../text/quantities.js';

interface DumpFlags {
  readonly records?: boolean;
}

type DumpedBatch = Extract<DumpedEntry, { kind: 'batch' }>;

export const dump: Action<DumpFlags> = async (context, [directory = ''], { records: withRecords = false }) => {
  const printer = context.json ? new JsonPrinter(context) : new TextPrinter(context);
  const totals = new Totals();
  printer.begin(directory);
  try {
    for await (const entry of dumpLog(directory)) {
      if (context.output.closed.aborted || context.terminal.interrupted.aborted) break;
      totals.add(entry);
      printer.entry(entry);
      if (withRecords && entry.kind === 'batch') printRecords(printer, totals, entry);
      if (context.output.full) await context.output.drained();
    }
  } catch (error) {
    throw explainStore(error, directory);
  }
  printer.end(totals);
  if (totals.problems === 0) return undefined;
  throw new CliError(
    `${directory} is damaged: ${totals.corrupt} corrupt, ${totals.gaps} gaps; let the replica be fetched from its leader, or restore it from a backup`,
    undefined,
    'CORRUPT_MESSAGE',
  );
};

/** What was found in all. */
class Totals {
  batches = 0;
  records = 0;
  bytes = 0;
  corrupt = 0;
  gaps = 0;
  firstOffset: number | undefined;
  endOffset = 0;

  get problems(): number {
    return this.corrupt + this.gaps;
  }

  add(entry: DumpedEntry): void {
    if (entry.kind === 'corrupt') this.corrupt += 1;
    if (entry.kind !== 'batch') return;
    const { header } = entry;
    this.batches += 1;
    this.records += header.recordCount;
    this.bytes += header.sizeInBytes;
    this.firstOffset ??= header.baseOffset;
    this.endOffset = header.lastOffset + 1;
    if (entry.gapBefore) this.gaps += 1;
  }
}

interface Printer {
  begin(directory: string): void;
  entry(entry: DumpedEntry): void;
  record(record: StoredRecord): void;
  end(totals: Totals): void;
}

function printRecords(printer: Printer, totals: Totals, { bytes, header }: DumpedBatch): void {
  try {
    for (const record of iterateRecords(bytes)) printer.record(record);
  } catch (error) {
    // The CRC holds, so this is what its producer sent: still nothing that a consumer could read.
    totals.corrupt += 1;
    printer.entry({ kind: 'corrupt', offset: header.baseOffset, bytes, why: String(error), isBatch: true });
  }
}

class TextPrinter implements Printer {
  constructor(private readonly context: CommandContext) {}

  begin(directory: string): void {
    const partition = partitionOfDirectory(directory);
    const name =
      partition === undefined ? '' : ` (${partition.topic}-${partition.partition}, topic id ${partition.topicId})`;
    this.context.output.line(`${directory}${name}`);
  }

  entry(entry: DumpedEntry): void {
    const { output } = this.context;
    switch (entry.kind) {
      case 'batch':
        if (entry.gapBefore) output.line(`GAP before ${entry.offset}: batches are missing`);
        output.line(describeBatch(entry.header));
        return;
      case 'corrupt':
        output.line(`CORRUPT at ${entry.offset}: ${entry.why}`);
        return;
      case 'segmentEnd':
        output.line(`segment ends at ${entry.offset}`);
    }
  }

  record({ offset, timestamp, key, value, headers }: StoredRecord): void {
    const names = headers.map((header) => `${header.key}=${shownBytes(header.value)}`).join(' ');
    const parts = [`  ${offset}`, `time ${timestamp}`, `key ${shownBytes(key)}`, `value ${shownBytes(value)}`];
    this.context.output.line(names === '' ? parts.join('  ') : `${parts.join('  ')}  headers ${names}`);
  }

  end(totals: Totals): void {
    const range =
      totals.firstOffset === undefined ? 'empty' : `offsets ${totals.firstOffset} to ${totals.endOffset - 1}`;
    const verdict = totals.problems === 0 ? 'every CRC holds' : `${totals.corrupt} corrupt, ${totals.gaps} gaps`;
    const size = `${totals.batches} batches, ${totals.records} records, ${formatBytes(totals.bytes)}`;
    this.context.output.line(`${size}, ${range}: ${verdict}`);
  }
}

function describeBatch(header: BatchHeader): string {
  const { baseOffset, lastOffset, recordCount, sizeInBytes, partitionLeaderEpoch, producerId } = header;
  const flags = [header.isTransactional ? 'transactional' : '', header.isControl ? 'control' : ''].filter(Boolean);
  return [
    `${baseOffset}-${lastOffset}`,
    `records ${recordCount}`,
    `bytes ${sizeInBytes}`,
    `epoch ${partitionLeaderEpoch}`,
    ...(producerId === -1 ? [] : [`producer ${producerId}/${header.producerEpoch} sequence ${header.baseSequence}`]),
    `compression ${header.compression}`,
    `${header.timestampType} ${header.maxTimestamp === -1 ? 'none' : new Date(header.maxTimestamp).toISOString()}`,
    ...flags,
    'crc ok',
  ].join('  ');
}

/** One JSON object a line. */
class JsonPrinter implements Printer {
  constructor(private readonly context: CommandContext) {}

  begin(directory: string): void {
    this.context.output.json({ kind: 'log', directory, ...partitionOfDirectory(directory) });
  }

  entry(entry: DumpedEntry): void {
    const { output } = this.context;
    switch (entry.kind) {
      case 'batch':
        output.json({ kind: 'batch', ...entry.header, gapBefore: entry.gapBefore });
        return;
      case 'corrupt':
        output.json({ kind: 'corrupt', offset: entry.offset, why: entry.why });
        return;
      case 'segmentEnd':
        output.json({ kind: 'segmentEnd', offset: entry.offset });
    }
  }

  record({ offset, timestamp, key, value, headers }: StoredRecord): void {
    const record = { kind: 'record', offset, timestamp, ...jsonBytes('key', key), ...jsonBytes('value', value) };
    const named = headers.map((header) => ({ key: header.key, ...jsonBytes('value', header.value) }));
    this.context.output.json({ ...record, headers: named });
  }

  end({ batches, records, bytes, corrupt, gaps, firstOffset, endOffset }: Totals): void {
    const range = { firstOffset: firstOffset ?? null, endOffset };
    this.context.output.json({ kind: 'summary', batches, records, bytes, ...range, corrupt, gaps });
  }
}

function explainStore(error: unknown, directory: string): unknown {
  if (!(error instanceof StoreError)) return error;
  if (error.kind !== 'not-found' && error.kind !== 'not-a-directory') return error;
  return new CliError(
    `${directory} holds no partition log: name a directory such as DATA-DIR/broker/TOPIC-0.…`,
    undefined,
    error.kind,
  );
}
