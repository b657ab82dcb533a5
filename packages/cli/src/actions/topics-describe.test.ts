import { FakeClusterCli } from '../test-kit/fake-cluster-cli.js';

let cli: FakeClusterCli;
beforeEach(() => {
  cli = new FakeClusterCli({ brokers: 3, topics: { good: 1, bad: 4 } });
  cli.place('good', 0, [1, 2, 3]);
  cli.place('bad', 0, [1, 2, 3], [1]);
  cli.place('bad', 1, [2, 3, 1], [2, 3]);
  cli.place('bad', 2, [3, 1, 2], [3, 1, 2]);
  cli.place('bad', 3, [1, 2, 3], []);
  cli.cluster.moveLeader('bad', 3, -1);
});
afterEach(() => cli.close());

/** What is printed, as lines of words. */
async function lines(...argv: string[]): Promise<string[][]> {
  const { code, out } = await cli.run(['topics', 'describe', ...argv]);
  expect(code).toBe(0);
  return out
    .trimEnd()
    .split('\n')
    .map((line) => line.trim().split(/ {2,}/));
}

test('leaders, replicas, ISR, ELR and lag', async () => {
  const { replicas } = cli.cluster;
  replicas.of(cli.partition('bad', 0)).lag.set(2, 7).set(3, 2);
  replicas.of(cli.partition('bad', 0)).eligibleLeaderReplicas = [3];
  const [, head, ...rows] = await lines('bad');
  expect(head).toEqual(['PARTITION', 'LEADER', 'EPOCH', 'REPLICAS', 'ISR', 'ELR', 'LAG', 'BEGIN', 'END']);
  expect(rows).toEqual([
    ['0', '1', '1', '1,2,3', '1', '3', '7', '0', '0'],
    ['1', '2', '1', '2,3,1', '2,3', '0', '0', '0'],
    ['2', '3', '1', '3,1,2', '3,1,2', '0', '0', '0'],
    ['3', 'none', '2', '1,2,3', '?', '?', '?'],
  ]);
});

test('JSON tells of each replica', async () => {
  // The leader does not know its own: nobody has used its log yet.
  cli.cluster.replicas.of(cli.partition('good', 0)).lag.set(1, -1).set(2, 7);
  expect(await cli.json(['topics', 'describe', 'good'])).toMatchObject([
    {
      name: 'good',
      partitions: [
        {
          ...{ leader: 1, replicas: [1, 2, 3], isr: [1, 2, 3], eligibleLeaderReplicas: [], lag: 7 },
          replicaStates: [{ brokerId: 1, lag: -1 }, { brokerId: 2, lag: 7, inSync: true }, { brokerId: 3 }],
        },
      ],
    },
  ]);
});

test('a move is shown beside the replicas, and what it adds is not missed yet', async () => {
  await cli.run(['topics', 'create', 'moving', '--replica-assignment', '1:2']);
  const set = cli.cluster.replicas.of(cli.partition('moving', 0));
  set.target = [2, 3];
  set.replicas = [2, 3, 1];
  set.isr = [1, 2];
  expect((await lines('moving'))[2]?.[3]).toBe('2,3,1 (+3,-1)');
  expect((await cli.run(['topics', 'describe', 'moving', '--under-replicated'])).out).toBe('');
});

test.each([
  [['--under-replicated'], ['0', '1', '3']],
  [['--unavailable'], ['3']],
  [['--under-min-isr'], ['0', '3']],
  [['--at-min-isr'], ['1']],
  [
    ['--unavailable', '--at-min-isr'],
    ['1', '3'],
  ],
])('%j shows only such partitions, and no topic without any', async (flags, partitions) => {
  for (const topic of ['good', 'bad']) {
    await cli.run(['configs', 'alter', '--topic', topic, '--set', 'min.insync.replicas=2']);
  }
  const [title, , ...rows] = await lines(...flags);
  expect(title?.[0]).toContain(`bad: ${partitions.length} partition`);
  expect(rows.map(([partition]) => partition)).toEqual(partitions);
});

test('no such partition is no failure', async () => {
  expect(await cli.run(['topics', 'describe', 'good', '--under-replicated'])).toEqual({
    ...{ code: 0, out: '', err: 'no partition is under-replicated\n' },
    bytes: Buffer.alloc(0),
  });
  expect((await cli.run(['topics', 'describe', 'good', '--unavailable', '--under-min-isr'])).err).toBe(
    'no partition is without a leader or below min.insync.replicas\n',
  );
  expect(await cli.json(['topics', 'describe', 'good', '--unavailable'])).toEqual([]);
});

test('what needs a look is looked for in topics of the cluster’s own too', async () => {
  const own = new FakeClusterCli({ brokers: 2, topics: { t: 1, __consumer_offsets: 1 } });
  try {
    own.place('__consumer_offsets', 0, [1, 2], [1]);
    expect((await own.run(['topics', 'describe'])).out).toMatch(/^t: 1 partition/);
    expect((await own.run(['topics', 'describe', '--under-replicated'])).out).toMatch(
      /^__consumer_offsets: 1 partition/,
    );
  } finally {
    own.close();
  }
});

describe('create', () => {
  test('with a replication factor, and with replicas placed by hand', async () => {
    expect((await cli.run(['topics', 'create', 'three', '-p', '2', '-r', '3'])).out).toBe(
      'created three: 2 partitions, replication factor 3\n',
    );
    expect((await cli.run(['topics', 'create', 'placed', '--replica-assignment', '3:1,2:3'])).code).toBe(0);
    const sets = [0, 1].map((partition) => cli.cluster.replicas.of(cli.partition('placed', partition)).replicas);
    expect(sets).toEqual([
      [3, 1],
      [2, 3],
    ]);
  });

  test.each([
    [['--replica-assignment', '1:1'], 'Must be brokers for each partition, as in 1:2,2:3; see'],
    [['--replica-assignment', '1:x'], 'Must be brokers for each partition'],
    [['--replica-assignment', '1:2', '-p', '3'], 'cannot be used with option'],
  ])('%j is refused', async (flags, message) => {
    const { code, err } = await cli.run(['topics', 'create', 't', ...flags]);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });
});
