import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onMethod } from '@barnabas/client/testing';
import { FakeClusterCli } from '../test-kit/fake-cluster-cli.js';

let cli: FakeClusterCli;
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'barnabas-reassign-'));
  cli = new FakeClusterCli({ brokers: 3, topics: { a: 2, b: 1 } });
  cli.place('a', 0, [1, 2]);
  cli.place('a', 1, [2, 1]);
  cli.place('b', 0, [1, 2]);
});
afterEach(() => {
  cli.close();
  rmSync(directory, { recursive: true, force: true });
});

const plan = (...partitions: [topic: string, partition: number, replicas: number[]][]) =>
  JSON.stringify({
    version: 1,
    partitions: partitions.map(([topic, partition, replicas]) => ({ topic, partition, replicas })),
  });
const fileOf = (text: string) => {
  const file = path.join(directory, 'plan.json');
  writeFileSync(file, text);
  return file;
};
const reassign = (...argv: string[]) => cli.run(['reassign', ...argv]);
const replicasOf = (topic: string, partition: number) =>
  cli.cluster.replicas.of(cli.partition(topic, partition)).replicas;
const configsOf = async (kind: string, name: string) =>
  (
    ((await cli.json(['configs', 'describe', `--${kind}`, name])) as { entries: { key: string; value: string }[] })
      .entries ?? []
  )
    .map(({ key, value }) => `${key}=${value}`)
    .sort();

describe('generate', () => {
  test('prints a plan in Kafka’s format for what changes, and where replicas are now on demand', async () => {
    const backup = path.join(directory, 'before.json');
    const { code, out, err } = await reassign('generate', '--backup', backup);
    expect(code).toBe(0);
    const { version, partitions } = JSON.parse(out) as { version: number; partitions: { replicas: number[] }[] };
    expect(version).toBe(1);
    // Three brokers for six replicas: two each, so that two move.
    expect(partitions.flatMap(({ replicas }) => replicas).filter((id) => id === 3)).toHaveLength(2);
    expect(err).toContain(`${partitions.length} of 3 partitions change, 2 replicas move`);
    expect(readFileSync(backup, 'utf8')).toBe(`${plan(['a', 0, [1, 2]], ['a', 1, [2, 1]], ['b', 0, [1, 2]])}\n`);
  });

  test('for some topics, onto some brokers, with another replication factor', async () => {
    const { out } = await reassign('generate', '-t', 'b', '--brokers', '2,3');
    expect(JSON.parse(out)).toMatchObject({ partitions: [{ topic: 'b', partition: 0, replicas: [2, 3] }] });
    const more = JSON.parse((await reassign('generate', '-t', 'b', '-r', '3')).out) as {
      partitions: [{ replicas: number[] }];
    };
    expect(more.partitions[0].replicas).toEqual([1, 2, 3]);
  });

  test('a broker that is decommissioned is not used', async () => {
    await cli.run(['brokers', 'decommission', '3', '--no-wait']);
    const { code, out, err } = await reassign('generate');
    expect([code, out]).toEqual([0, '']);
    expect(err).toContain('nothing to reassign');
  });

  test.each([
    [['--brokers', '9'], 2, 'there is no broker 9: see "barnabas brokers list"'],
    [['--brokers', '1,1'], 2, 'Must be different broker ids'],
    [['--brokers', '1'], 2, '2 replicas need as many brokers, and there are 1 to choose from'],
    [['-t', 'none'], 1, '[UNKNOWN_TOPIC_OR_PARTITION]'],
  ])('%j is refused', async (flags, exit, message) => {
    const { code, out, err } = await reassign('generate', ...flags);
    expect(err).toContain(message);
    expect([code, out]).toEqual([exit, '']);
  });
});

test('a plan’s life: execute, list, verify until it is complete', async () => {
  const file = fileOf(plan(['a', 0, [3, 2]], ['b', 0, [1, 2]]));
  expect(await reassign('execute', '--plan', file)).toMatchObject({
    code: 0,
    out: 'reassignment of 2 partitions has begun\n',
    err: `see how far it is with: barnabas reassign verify --plan ${file}\n`,
  });
  expect((await reassign('list')).out).toMatch(/^TOPIC .*\na +0 +3,2,1 +3 +1\n/);
  const early = await reassign('verify', '--plan', file);
  expect(early.code).toBe(1);
  expect(early.out).toMatch(/a +0 +3,2 +3,2,1 +under way\n/);
  cli.cluster.replicas.completeReassignments();
  expect(await reassign('verify', '--plan', file)).toMatchObject({
    code: 0,
    out: '2 of 2 partitions are as planned\n',
  });
  expect((await reassign('list')).err).toBe('no reassignment is under way\n');
  expect(replicasOf('a', 0)).toEqual([3, 2]);
});

test('a plan on standard input; a partition that never moved is said to be none of it', async () => {
  const input = { stdin: [Buffer.from(plan(['a', 1, [3, 1]], ['gone', 0, [1]]))] };
  const { code, out, err } = await cli.run(['reassign', 'verify', '--plan', '-'], input);
  expect(code).toBe(1);
  expect(out).toMatch(/a +1 +3,1 +2,1 +not begun\n/);
  expect(out).toMatch(/gone +0 +1 +no such partition\n/);
  expect(err).toContain('execute the plan again');
  expect(await cli.json(['reassign', 'verify', '--plan', '-'], input)).toMatchObject({
    complete: false,
    partitions: [{ state: 'not begun' }, { state: 'no such partition' }],
  });
});

describe('throttles', () => {
  test('are set before anything moves, as Kafka’s tool sets them, and removed when nothing moves any more', async () => {
    const file = fileOf(plan(['a', 0, [3, 2]], ['a', 1, [2, 1]]));
    const order: string[] = [];
    cli.cluster.intercept(({ method }) => void order.push(method));
    await reassign('execute', '--plan', file, '--throttle', '1000');
    expect(order.indexOf('IncrementalAlterConfigs')).toBeLessThan(order.indexOf('AlterPartitionReassignments'));
    expect(await configsOf('topic', 'a')).toEqual([
      'follower.replication.throttled.replicas=0:3',
      'leader.replication.throttled.replicas=0:1,0:2',
    ]);
    const rates = ['follower.replication.throttled.rate=1000', 'leader.replication.throttled.rate=1000'];
    for (const broker of ['1', '2', '3']) expect(await configsOf('broker', broker)).toEqual(rates);
    await reassign('verify', '--plan', file);
    expect(await configsOf('broker', '1')).toEqual(rates);
    cli.cluster.replicas.completeReassignments();
    await reassign('verify', '--plan', file, '--preserve-throttles');
    expect(await configsOf('topic', 'a')).toHaveLength(2);
    await reassign('verify', '--plan', file);
    expect([await configsOf('topic', 'a'), await configsOf('broker', '1')]).toEqual([[], []]);
  });

  test('stay on brokers while others move', async () => {
    await reassign('execute', '--plan', fileOf(plan(['b', 0, [3, 2]])), '--throttle', '5');
    const file = fileOf(plan(['a', 0, [3, 2]]));
    const beside = ['execute', '--plan', file, '--throttle', '7'];
    const refused = await reassign(...beside);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('or add --additional')]);
    expect([replicasOf('a', 0), await configsOf('topic', 'a')]).toEqual([[1, 2], []]);
    expect((await reassign(...beside, '--additional')).code).toBe(0);
    cli.cluster.replicas.completeReassignments(cli.partition('a', 0));
    expect((await reassign('verify', '--plan', file)).code).toBe(0);
    expect([await configsOf('topic', 'a'), await configsOf('broker', '3')]).toEqual([
      [],
      ['follower.replication.throttled.rate=7', 'leader.replication.throttled.rate=7'],
    ]);
  });

  test('go when the reassignment is refused as a whole', async () => {
    cli.cluster.intercept(
      onMethod('AlterPartitionReassignments', { kind: 'error', error: 'CLUSTER_AUTHORIZATION_FAILED' }),
    );
    const { code } = await reassign('execute', '--plan', fileOf(plan(['a', 0, [3, 2]])), '--throttle', '1000');
    expect(code).toBe(1);
    expect([await configsOf('topic', 'a'), await configsOf('broker', '3')]).toEqual([[], []]);
  });
});

test('a throttle counts what moves of the same topic already', async () => {
  await reassign('execute', '--plan', fileOf(plan(['a', 1, [3, 1]])), '--throttle', '5');
  await reassign('execute', '--plan', fileOf(plan(['a', 0, [3, 2]])), '--throttle', '7', '--additional');
  expect(await configsOf('topic', 'a')).toEqual([
    'follower.replication.throttled.replicas=0:3,1:3',
    'leader.replication.throttled.replicas=0:1,0:2,1:1,1:2',
  ]);
});

test('the throttle of a plan under way is changed by executing it again, in addition', async () => {
  const file = fileOf(plan(['a', 0, [3, 2]]));
  await reassign('execute', '--plan', file, '--throttle', '5');
  expect((await reassign('execute', '--plan', file, '--throttle', '50')).code).toBe(1);
  expect(await configsOf('broker', '3')).toContain('leader.replication.throttled.rate=5');
  expect((await reassign('execute', '--plan', file, '--throttle', '50', '--additional')).code).toBe(0);
  expect(await configsOf('broker', '3')).toContain('leader.replication.throttled.rate=50');
  expect((await reassign('list')).out).toMatch(/a +0 +3,2,1 +3 +1\n/);
});

test('--wait ends when nothing moves any more; a person sees a bar meanwhile', async () => {
  const file = fileOf(plan(['a', 0, [3, 2]], ['b', 0, [1, 3]]));
  let looks = 0;
  cli.cluster.intercept(({ method }) => {
    if (method === 'ListPartitionReassignments' && ++looks > 2) cli.cluster.replicas.completeReassignments();
    return undefined;
  });
  const argv = ['reassign', 'execute', '--plan', file, '--wait', '--interval-ms', '1'];
  const { code, out, err } = await cli.run(argv, { stderrIsTerminal: true });
  expect([code, out]).toEqual([0, '2 of 2 partitions are as planned\n']);
  expect(err).toContain('0%');
  expect(looks).toBeGreaterThanOrEqual(3);
});

test('Ctrl-C ends the waiting and not the reassignment', async () => {
  const interruption = new AbortController();
  cli.cluster.intercept(({ method }) => {
    if (method === 'ListPartitionReassignments') interruption.abort();
    return undefined;
  });
  const file = fileOf(plan(['a', 0, [3, 2]]));
  const { code, err } = await cli.run(['reassign', 'execute', '--plan', file, '--wait'], {
    interrupted: interruption.signal,
  });
  expect(code).toBe(130);
  expect(err).toContain('the reassignment goes on: see "barnabas reassign list"');
  expect((await reassign('list')).out).toContain('a');
});

test('cancel takes back what is under way, of a plan or all', async () => {
  const file = fileOf(plan(['a', 0, [3, 2]]));
  await reassign('execute', '--plan', file, '--throttle', '9');
  await reassign('execute', '--additional', '--plan', fileOf(plan(['b', 0, [3, 2]])));
  expect((await reassign('cancel', '--plan', fileOf(plan(['a', 0, [3, 2]])))).out).toBe('cancelled 1 reassignment\n');
  expect([replicasOf('a', 0), replicasOf('b', 0)]).toEqual([
    [1, 2],
    [3, 2, 1],
  ]);
  expect(await configsOf('topic', 'a')).toEqual([]);
  expect(await cli.json(['reassign', 'cancel', '--all'])).toEqual({ cancelled: [{ topic: 'b', partition: 0 }] });
  expect((await reassign('cancel', '--all')).err).toContain('nothing to cancel');
  expect(await configsOf('broker', '3')).toEqual([]);
  for (const flags of [[], ['--all', '--plan', file]]) expect((await reassign('cancel', ...flags)).code).toBe(2);
});

test.each([
  ['nothing', 'it is no JSON'],
  ['{"version":2,"partitions":[]}', 'at version'],
  ['{"version":1,"partitions":[]}', 'at partitions'],
  ['{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[]}]}', 'at partitions.0.replicas'],
  [plan(['a', 0, [1, 1]]), 'a-0 has a broker twice: 1,1'],
  [plan(['a', 0, [1]], ['a', 0, [2]]), 'a-0 stands in it twice'],
])('%s is no plan', async (text, message) => {
  const { code, err } = await reassign('execute', '--plan', fileOf(text));
  expect(err).toContain(message);
  expect(err).toContain('as "barnabas reassign generate" prints it');
  expect(code).toBe(1);
});

test('a plan about a partition that does not exist begins nothing; a plan that is not there says how to make one', async () => {
  const { code, err } = await reassign('execute', '--plan', fileOf(plan(['a', 0, [3, 2]], ['a', 7, [1]])));
  expect([code, err]).toEqual([
    1,
    'barnabas: the plan names a-7, which does not exist: see "barnabas topics describe a"\n',
  ]);
  expect((await reassign('list')).out).toBe('');
  expect((await reassign('verify', '--plan', path.join(directory, 'none'))).err).toContain('(ENOENT): make one with');
});
