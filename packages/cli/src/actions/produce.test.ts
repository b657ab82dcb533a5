import { createHash } from 'node:crypto';
import { BarnabasClient } from '@barnabas/client';
import { FakeCluster, onMethod, times } from '@barnabas/client/testing';
import fc from 'fast-check';
import { openInput, run } from '../test-kit/captured-terminal.js';
import type { RunOptions } from '../test-kit/captured-terminal.js';
import { count } from '../text/quantities.js';

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster({ brokers: 1, topics: { t: 1, eight: 8 } });
});
afterEach(() => cluster.close());

const withCluster = (options: RunOptions = {}): RunOptions => ({
  connect: ({ clientId }) =>
    new BarnabasClient({ clientId, bootstrap: cluster.bootstrap, connector: cluster.connector }),
  ...options,
});
const produce = (argv: readonly string[], stdin: readonly Buffer[] | RunOptions['stdin'] = []) =>
  run(['produce', ...argv, '--linger-ms', '0'], withCluster({ stdin }));
const values = (topic: string, partition = 0) =>
  cluster.records(topic, partition).map(({ value }) => Buffer.from(value ?? []).toString('latin1'));

test('every line becomes a record, byte for byte, however standard input is cut', async () => {
  const arbitraryInput = fc.array(fc.oneof(fc.constant(0x0a), fc.integer({ min: 0, max: 255 })), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(arbitraryInput, fc.array(fc.nat(60), { maxLength: 4 }), async (bytes, cuts) => {
      const before = cluster.records('t').length;
      const input = Buffer.from(bytes);
      const places = [0, ...cuts.map((cut) => Math.min(cut, input.length)), input.length].sort((a, b) => a - b);
      const chunks = places.slice(1).map((place, index) => Buffer.from(input.subarray(places[index], place)));
      const { code, err } = await produce(
        ['t'],
        chunks.filter((chunk) => chunk.length > 0),
      );
      const text = input.toString('latin1');
      const lines = text === '' ? [] : (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
      expect(values('t').slice(before)).toEqual(lines);
      expect(err).toMatch(new RegExp(`^${count(lines.length, 'record')} acknowledged, `));
      expect(code).toBe(0);
    }),
    { numRuns: 40 },
  );
});

test('keys end at the first separator; the same key goes to the same partition', async () => {
  const lines = Array.from({ length: 200 }, (_, index) => `key-${index % 20}::value:${index}`);
  const { code } = await produce(['eight', '--key-separator', '::'], [Buffer.from(lines.join('\n'))]);
  expect(code).toBe(0);
  const partitions = new Map<string, number>();
  const seen: string[] = [];
  for (let partition = 0; partition < 8; partition++) {
    for (const { key, value } of cluster.records('eight', partition)) {
      const text = Buffer.from(key ?? []).toString();
      expect(partitions.get(text) ?? partition).toBe(partition);
      partitions.set(text, partition);
      seen.push(`${text}::${Buffer.from(value ?? []).toString()}`);
    }
  }
  expect(seen.sort()).toEqual([...lines].sort());
});

test('a line without the separator is an error that names the line; what was sent before is counted', async () => {
  const { code, err } = await produce(['t', '--key-separator', ':'], [Buffer.from('a:1\nb:2\nc\n')]);
  expect(err).toContain('line 3 has no key separator ":"');
  expect(err).toContain('(2 of 2 records were acknowledged)');
  expect(code).toBe(1);
});

test('a line longer than a request may be is an error that says what to raise', async () => {
  const { code, err } = await produce(
    ['t', '--max-request-size', '1000'],
    [Buffer.from('ok\n'), Buffer.alloc(1001, 'x')],
  );
  expect(err).toContain("line 2 is longer than 1000 bytes: raise --max-request-size and the topic's max.message.bytes");
  expect(err).toMatch(/\[MESSAGE_TOO_LARGE\]\n$/);
  expect(code).toBe(1);
  expect(values('t')).toEqual(['ok']);
});

test('succeeds only if every record was acknowledged', async () => {
  cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'entries', error: () => 'INVALID_RECORD' })));
  const { code, err } = await produce(['t'], [Buffer.from('a\nb\n')]);
  expect(err).toContain('(0 of 2 records were acknowledged)');
  expect(err).toContain('[INVALID_RECORD]');
  expect(code).toBe(1);
});

test('a lost answer is asked for again, and nothing is written twice', async () => {
  cluster.intercept(times(1, onMethod('ProduceStream', { kind: 'disconnect-after' })));
  const { code } = await produce(['t'], [Buffer.from('a\nb\nc\n')]);
  expect(code).toBe(0);
  expect(values('t')).toEqual(['a', 'b', 'c']);
});

test('--partition and --json', async () => {
  const { code, out, err } = await produce(['eight', '--partition', '5', '--json'], [Buffer.from('a\n')]);
  expect(values('eight', 5)).toEqual(['a']);
  expect(JSON.parse(out)).toMatchObject({ records: 1, bytes: 2, interrupted: false });
  expect([code, err]).toEqual([0, '']);
});

test('an interruption ends reading; what was read is sent, and the code says that it was not all', async () => {
  const stdin = openInput();
  const interruption = new AbortController();
  const running = run(['produce', 't'], withCluster({ stdin, interrupted: interruption.signal }));
  stdin.write('first\n');
  while (cluster.records('t').length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  stdin.write('begun');
  interruption.abort();
  const { code, err } = await running;
  expect(values('t')).toEqual(['first']);
  expect(err).toContain('1 record acknowledged before the interruption');
  expect(code).toBe(130);
});

test('a topic that does not exist is an error, not a wait without end', async () => {
  const { code, err } = await produce(['nope'], [Buffer.from('a\n')]);
  expect(err).toMatch(/nope.*create it with "barnabas topics create NAME" \[UNKNOWN_TOPIC_OR_PARTITION\]/);
  expect(code).toBe(1);
});

test('ten megabytes through a small buffer: everything arrives, in order', async () => {
  const line = Buffer.alloc(99, 'x');
  const input = Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.concat([line, Buffer.from('\n')])));
  const chunks = Array.from({ length: Math.ceil(input.length / 65_536) }, (_, index) =>
    input.subarray(index * 65_536, (index + 1) * 65_536),
  );
  const { code } = await produce(['t', '--buffer-memory', '1048576'], chunks);
  expect(code).toBe(0);
  const hash = createHash('sha256');
  for (const { value } of cluster.records('t')) hash.update(value ?? '').update('\n');
  expect(hash.digest('hex')).toBe(createHash('sha256').update(input).digest('hex'));
});
