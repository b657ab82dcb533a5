import fc from 'fast-check';
import { compileFormat, writeValueLine } from './record-format.js';
import type { PrintedRecord, RecordWriter } from './record-format.js';

function print(writer: RecordWriter, record: PrintedRecord): Buffer {
  const pieces: Buffer[] = [];
  writer(
    record,
    {
      bytes: (value) => pieces.push(Buffer.from(value)),
      text: (value) => pieces.push(Buffer.from(value)),
    },
    { topic: 'clicks', partition: 3 },
  );
  return Buffer.concat(pieces);
}

const record: PrintedRecord = {
  offset: 42,
  timestamp: 1_700_000_000_000,
  key: Buffer.from('k'),
  value: Buffer.from([0xff, 0x00, 0x0a]),
  headers: [
    { key: 'a', value: Buffer.from('1') },
    { key: 'b', value: null },
  ],
};

test('every field and escape', () => {
  expect(print(compileFormat('%t %p %o %T %k|%h%%\\t\\r\\0\\x41\\\\é\\n'), record).toString()).toBe(
    'clicks 3 42 1700000000000 k|a=1,b=%\t\r\0A\\é\n',
  );
});

test('values are the same bytes, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.option(fc.uint8Array()), (value, key) => {
      const printed = { ...record, value, key };
      expect(print(compileFormat('%v\\n'), printed)).toEqual(Buffer.concat([value, Buffer.from('\n')]));
      expect(print(writeValueLine, printed)).toEqual(print(compileFormat('%v\\n'), printed));
      expect(print(compileFormat('%k'), printed)).toEqual(Buffer.from(key ?? []));
    }),
  );
});

test('a string without fields and escapes prints itself', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      fc.pre(!/[%\\]/.test(text) && text !== 'json');
      expect(print(compileFormat(text), record).toString()).toBe(text);
    }),
  );
});

test('a per cent doubled and a backslash doubled print any string', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      fc.pre(text !== 'json');
      const quoted = text.replaceAll('%', '%%').replaceAll('\\', '\\\\');
      expect(print(compileFormat(quoted), record).toString()).toBe(text);
    }),
  );
});

test.each([
  ['%x', '%x is no field of a record: use %t %p'],
  ['%', '% is no field'],
  ['\\q', '\\q is no escape'],
  ['\\x4', '\\x is no escape'],
  ['%constructor', '%c is no field'],
])('refuses %j', (format, message) => {
  expect(() => compileFormat(format)).toThrow(message);
});

test('JSON: text as text, other bytes as base64, null as null', () => {
  const lines = print(compileFormat('json'), record).toString();
  expect(lines.endsWith('\n')).toBe(true);
  expect(JSON.parse(lines)).toEqual({
    topic: 'clicks',
    partition: 3,
    offset: 42,
    timestamp: 1_700_000_000_000,
    key: 'k',
    valueBase64: '/wAK',
    headers: [
      { key: 'a', value: '1' },
      { key: 'b', value: null },
    ],
  });
  fc.assert(
    fc.property(fc.uint8Array(), (value) => {
      const parsed = JSON.parse(print(compileFormat('json'), { ...record, value }).toString()) as {
        value?: string;
        valueBase64?: string;
      };
      const bytes =
        parsed.value === undefined ? Buffer.from(parsed.valueBase64 ?? '', 'base64') : Buffer.from(parsed.value);
      expect(bytes).toEqual(Buffer.from(value));
    }),
  );
});
