/**
 * How `consume` prints a record: a format string compiled once, or JSON. Values are copied as the
 * bytes they are; nothing is decoded unless it has to become JSON.
 *
 *   %t topic   %p partition   %o offset   %T timestamp (ms)   %k key   %v value   %h headers   %% a per cent
 *   \n newline   \t tab   \r carriage return   \0 NUL   \xHH a byte   \\ a backslash
 *
 * A null key or value prints as nothing. Headers print as `key=value,key=value`.
 */

import { jsonBytes } from './shown-bytes.js';

/** What printing needs to know of a record. */
export interface PrintedRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array | null }[];
}

/** Where a record was read. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** Adds a record's bytes to a sink. */
export type RecordWriter = (record: PrintedRecord, sink: ByteSink, place: Place) => void;

export interface ByteSink {
  bytes(value: Uint8Array): void;
  text(value: string): void;
}

/** The format string has something that is not a format. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}

const FIELDS: Readonly<Record<string, RecordWriter>> = {
  t: (_, sink, place) => sink.text(place.topic),
  p: (_, sink, place) => sink.text(String(place.partition)),
  o: (record, sink) => sink.text(String(record.offset)),
  T: (record, sink) => sink.text(String(record.timestamp)),
  k: (record, sink) => writeBytes(record.key, sink),
  v: (record, sink) => writeBytes(record.value, sink),
  h: writeHeaders,
};

const ESCAPES: Readonly<Record<string, number>> = { n: 0x0a, t: 0x09, r: 0x0d, '0': 0, '\\': 0x5c };

function writeBytes(value: Uint8Array | null, sink: ByteSink): void {
  if (value !== null) sink.bytes(value);
}

function writeHeaders(record: PrintedRecord, sink: ByteSink): void {
  record.headers.forEach(({ key, value }, index) => {
    sink.text(index === 0 ? `${key}=` : `,${key}=`);
    writeBytes(value, sink);
  });
}

/** Compiles a format: `json`, or a string with fields and escapes. */
export function compileFormat(format: string): RecordWriter {
  if (format === 'json') return writeJson;
  const parts: RecordWriter[] = [];
  let literal: number[] = [];
  const closeLiteral = () => {
    if (literal.length === 0) return;
    const bytes = Buffer.from(literal);
    parts.push((_, sink) => sink.bytes(bytes));
    literal = [];
  };
  for (let at = 0; at < format.length; ) {
    const escape = format[at] === '\\' ? readEscape(format, at) : undefined;
    if (escape !== undefined) {
      literal.push(escape.byte);
      at += escape.length;
    } else if (format[at] === '%' && format[at + 1] !== '%') {
      closeLiteral();
      parts.push(field(format[at + 1]));
      at += 2;
    } else {
      const character = String.fromCodePoint(format.codePointAt(at) ?? 0);
      literal.push(...Buffer.from(character));
      at += format[at] === '%' ? 2 : character.length;
    }
  }
  closeLiteral();
  return (record, sink, place) => {
    for (const part of parts) part(record, sink, place);
  };
}

function field(letter: string | undefined): RecordWriter {
  const known = letter !== undefined && Object.hasOwn(FIELDS, letter) ? FIELDS[letter] : undefined;
  if (known !== undefined) return known;
  const names = Object.keys(FIELDS).map((name) => `%${name}`);
  throw new FormatError(`%${letter ?? ''} is no field of a record: use ${names.join(' ')} or %% for a per cent`);
}

function readEscape(format: string, at: number): { byte: number; length: number } {
  const letter = format[at + 1];
  const byte = letter !== undefined && Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
  if (byte !== undefined) return { byte, length: 2 };
  const hex = /^\\x([0-9A-Fa-f]{2})/.exec(format.slice(at, at + 4));
  if (hex !== null) return { byte: Number.parseInt(hex[1] ?? '', 16), length: 4 };
  throw new FormatError(`\\${letter ?? ''} is no escape: use \\n \\t \\r \\0 \\xHH or \\\\ for a backslash`);
}

/** The common case, a value and a newline, without going through parts. */
export const writeValueLine: RecordWriter = (record, sink) => {
  if (record.value !== null) sink.bytes(record.value);
  sink.bytes(NEWLINE);
};
const NEWLINE = Buffer.from('\n');

/** One JSON object a line. Bytes that are UTF-8 become `key` and `value`; others `keyBase64` and `valueBase64`. */
const writeJson: RecordWriter = (record, sink, { topic, partition }) => {
  const { offset, timestamp } = record;
  const headers = record.headers.map((header) => ({ key: header.key, ...jsonBytes('value', header.value) }));
  const object = {
    topic,
    partition,
    offset,
    timestamp,
    ...jsonBytes('key', record.key),
    ...jsonBytes('value', record.value),
    headers,
  };
  sink.text(`${JSON.stringify(object)}\n`);
};
