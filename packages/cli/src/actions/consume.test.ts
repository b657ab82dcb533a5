import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { BarnabasClient } from '@barnabas/client';
import { systemTimers } from '@barnabas/common/node';
import { FakeCluster } from '@barnabas/client/testing';
import { run } from '../test-kit/captured-terminal.js';
import type { RunOptions } from '../test-kit/captured-terminal.js';

let cluster: FakeCluster;
beforeEach(() => {
  // With timers members hear at once of what moves.
  cluster = new FakeCluster({ brokers: 2, topics: { t: 1, three: 3, empty: 2 }, timers: systemTimers });
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

describe('--group', () => {
  const committed = (topic: string, partition = 0) => cluster.groups.committed('g', topic, partition);
  const printed = (out: string) => out.split('\n').filter((line) => line !== '');

  test('goes on where the group has committed, and commits what is printed and no more', async () => {
    await fill('t', ['0', '1', '2', '3', '4']);
    const member = ['t', '--group', 'g', '--from-beginning', '--max-messages'];
    const first = await consume([...member, '2']);
    expect([first.code, first.out]).toEqual([0, '0\n1\n']);
    expect(first.err).toMatch(/^assigned t-0\n/);
    expect(committed('t')).toBe(2);
    expect(cluster.groups.group('g').members.size).toBe(0);
    expect((await consume([...member, '3'])).out).toBe('2\n3\n4\n');
    expect(committed('t')).toBe(5);
    const nothing = await consume(['t', '--group', 'g', '--from-beginning', '--timeout-ms', '200']);
    expect([nothing.code, nothing.out]).toEqual([0, '']);
  });

  test('of two members each has its part, until one goes', async () => {
    const interruptions = [new AbortController(), new AbortController()];
    const outputs = interruptions.map(() => new PassThrough());
    const texts = outputs.map((output) => {
      const text: string[] = [];
      output.on('data', (chunk: Buffer) => text.push(...printed(chunk.toString())));
      return text;
    });
    const members = interruptions.map(({ signal }, index) =>
      consume(['three', '--group', 'g', '--from-beginning', '--format', '%v\\n'], {
        interrupted: signal,
        ...{ stdout: outputs[index] as PassThrough },
      }),
    );
    const owners = () => cluster.groups.group('g').owners();
    await until(() => owners().size === 3 && new Set(owners().values()).size === 2);
    await Promise.all([0, 1, 2].map((partition) => fill('three', [`p${partition}`], partition)));
    await until(() => texts.flat().length === 3);
    expect(texts.flat().sort()).toEqual(['p0', 'p1', 'p2']);
    expect(texts.map(({ length }) => length).sort()).toEqual([1, 2]);
    interruptions[0]?.abort();
    const left = await members[0];
    expect([left?.code, left?.err]).toEqual([0, expect.stringMatching(/^assigned three-/)]);
    await until(() => new Set(owners().values()).size === 1 && owners().size === 3);
    interruptions[1]?.abort();
    expect((await members[1])?.code).toBe(0);
    expect([0, 1, 2].map((partition) => committed('three', partition))).toEqual([1, 1, 1]);
  });

  test('what a reader that went away did not take is not committed', async () => {
    await fill('t', ['0', '1']);
    const stdout = new PassThrough();
    stdout.destroy();
    expect((await consume(['t', '--group', 'g', '--from-beginning'], { stdout })).code).toBe(0);
    expect(committed('t')).not.toBe(2);
    expect((await consume(['t', '--group', 'g', '--from-beginning', '--max-messages', '2'])).out).toBe('0\n1\n');
  });

  test('says why it waits while another has its instance id', async () => {
    const interruption = new AbortController();
    const argv = ['t', '--group', 'g', '--group-instance-id', 'i', '--from-beginning'];
    const first = consume(argv, { interrupted: interruption.signal });
    await until(() => cluster.groups.group('g').members.size === 1);
    const { code, out, err } = await consume([...argv, '--timeout-ms', '200'], {
      connect: ({ environment }) =>
        new BarnabasClient({ bootstrap: cluster.bootstrap, connector: cluster.connector, environment }),
    });
    expect([code, out]).toEqual([0, '']);
    expect(err).toMatch(/^warning: another member has this group.instance.id: .*: stop the other member, or/);
    interruption.abort();
    expect((await first).code).toBe(0);
  });

  test.each([['--partition', '0'], ['--offset', '0'], ['--exit-at-end']])('does not go with %s', async (...flags) => {
    const { code, err } = await consume(['t', '--group', 'g', ...flags]);
    expect([code, err]).toEqual([2, expect.stringContaining('cannot be used with')]);
  });

  test('--group-instance-id needs a group; a topic that is not there is an error', async () => {
    expect((await consume(['t', '--group-instance-id', 'i'])).code).toBe(2);
    expect((await consume(['none', '--group', 'g'])).err).toContain('[UNKNOWN_TOPIC_OR_PARTITION]');
  });
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
