import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { BarnabasClient } from '@barnabas/client';
import { FakeCluster } from '@barnabas/client/testing';
import { run } from '../test-kit/captured-terminal.js';
import type { RunOptions } from '../test-kit/captured-terminal.js';

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster({ brokers: 2, topics: { t: 1, three: 3, empty: 2 } });
});
afterEach(() => cluster.close());

const client = () => new BarnabasClient({ bootstrap: cluster.bootstrap, connector: cluster.connector });
const consume = (argv: readonly string[], options: RunOptions = {}) =>
  run(['consume', ...argv], { connect: client, ...options });

async function fill(topic: string, values: readonly (string | Buffer)[], partition = 0): Promise<void> {
  const own = client();
  const producer = own.producer({ lingerMs: 0 });
  await Promise.all(
    values.map((value) => producer.send({ topic, partition, key: 'k', value, timestamp: 7, headers: { h: 'x' } })),
  );
  await own.close();
}

test('prints values and newlines, bytes as they are', async () => {
  const values = [Buffer.from([0xff, 0x00]), Buffer.from(''), Buffer.from('é')];
  await fill('t', values);
  const { code, bytes, err } = await consume(['t', '--from-beginning', '--exit-at-end']);
  expect([code, err]).toEqual([0, '']);
  expect(bytes).toEqual(Buffer.concat(values.flatMap((value) => [value, Buffer.from('\n')])));
});

test('reads all partitions to the end that they had, empty ones too', async () => {
  await fill('three', ['a', 'b'], 0);
  await fill('three', ['c'], 2);
  const { code, out } = await consume([
    'three',
    '--from-beginning',
    '--exit-at-end',
    '--format',
    '%t %p %o %k %h %T %v\\n',
  ]);
  expect(code).toBe(0);
  expect(out.trim().split('\n').sort()).toEqual(['three 0 0 k h=x 7 a', 'three 0 1 k h=x 7 b', 'three 2 0 k h=x 7 c']);
  expect(await consume(['empty', '--from-beginning', '--exit-at-end'])).toMatchObject({ code: 0, out: '' });
});

test('--partition, --offset and --max-messages', async () => {
  await fill('three', ['0', '1', '2', '3', '4'], 1);
  await fill('three', ['x'], 0);
  const { code, out } = await consume(['three', '--partition', '1', '--offset', '1', '--max-messages', '3']);
  expect([code, out]).toEqual([0, '1\n2\n3\n']);
});

test('--json prints an object a line', async () => {
  await fill('t', ['a', 'b']);
  const { out } = await consume(['t', '--from-beginning', '--exit-at-end', '--json']);
  const records = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(records).toEqual(
    ['a', 'b'].map((value, offset) => ({
      ...{ topic: 't', partition: 0, offset, timestamp: 7, key: 'k', value },
      headers: [{ key: 'h', value: 'x' }],
    })),
  );
});

test('ends when nothing came for --timeout-ms', async () => {
  await fill('t', ['a']);
  expect(await consume(['t', '--from-beginning', '--timeout-ms', '50'])).toMatchObject({ code: 0, out: 'a\n' });
});

test('without --from-beginning prints only what comes, until it is interrupted', async () => {
  await fill('t', ['old']);
  const stdout = new PassThrough();
  const interruption = new AbortController();
  const running = consume(['t'], { stdout, interrupted: interruption.signal });
  const printed = once(stdout, 'data');
  let isOver = false;
  void printed.then(() => {
    isOver = true;
  });
  // Until the consumer has its place, records come too early for it: "latest" is when it is there.
  while (!isOver) await fill('t', ['new']);
  interruption.abort();
  const { code, err } = await running;
  expect([code, err]).toEqual([0, '']);
  expect(String(await printed)).toMatch(/^(new\n)+$/);
});

test('a reader that goes away is no error', async () => {
  await fill(
    't',
    Array.from({ length: 1000 }, (_, index) => `record ${index}`),
  );
  const stdout = new PassThrough({ highWaterMark: 16 });
  const running = consume(['t', '--from-beginning'], { stdout });
  await once(stdout, 'readable');
  stdout.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  expect(await running).toMatchObject({ code: 0, err: '' });
});

test.each([
  [
    ['nope'],
    'topic nope does not exist: see "barnabas topics list", or create it with "barnabas topics create NAME" [UNKNOWN_TOPIC_OR_PARTITION]',
  ],
  [
    ['three', '--partition', '3'],
    'topic three has no partition 3: choose one from 0 to 2 [UNKNOWN_TOPIC_OR_PARTITION]',
  ],
])('%j is an error that says what to do', async (argv, message) => {
  const { code, out, err } = await consume(argv);
  expect([code, out, err]).toEqual([1, '', `barnabas: ${message}\n`]);
});

test('an offset outside of the log is an error', async () => {
  await fill('t', ['a']);
  const { code, err } = await consume(['t', '--offset', '100']);
  expect(err).toContain('[OFFSET_OUT_OF_RANGE]');
  expect(code).toBe(1);
  expect(await consume(['three', '--offset', '0'])).toMatchObject({
    code: 2,
    err: 'barnabas: --offset needs --partition: topic three has 3 partitions, each with offsets of its own\n',
  });
});
