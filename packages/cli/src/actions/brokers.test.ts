import { FakeClusterCli } from '../test-kit/fake-cluster-cli.js';

let cli: FakeClusterCli;
beforeEach(() => {
  cli = new FakeClusterCli({ brokers: 3, topics: { t: 2 } });
  cli.place('t', 0, [1, 2]);
  cli.place('t', 1, [1, 3]);
});
afterEach(() => cli.close());

const empty = (brokerId: number) => {
  for (const partition of [0, 1]) {
    const { replicas } = cli.cluster.replicas.of(cli.partition('t', partition));
    cli.place(
      't',
      partition,
      replicas.filter((id) => id !== brokerId),
    );
  }
};

test('cluster describe: controllers with who leads, brokers with state and what they hold', async () => {
  cli.cluster.stopBroker(3);
  await cli.run(['brokers', 'decommission', '2', '--no-wait']);
  const { code, out } = await cli.run(['cluster', 'describe']);
  expect(code).toBe(0);
  expect(out).toContain('cluster fake-cluster\n');
  expect(out).toMatch(/BROKER +ADDRESS +STATE +LEADERS +REPLICAS +RACK\n/);
  expect(out).toMatch(/1 +broker-1.fake:7700 +serving +2 +2\n/);
  expect(out).toMatch(/2 +broker-2.fake:7700 +serving, decommissioning +0 +1\n/);
  expect(out).toMatch(/3 +broker-3.fake:7700 +fenced +0 +1\n/);
  expect(out).toMatch(/CONTROLLER +ADDRESS +STATE\n +1 +controller-1.fake:7800 +active\n/);
  expect(await cli.json(['cluster', 'describe'])).toMatchObject({ controllerId: 1, brokers: [{ leaders: 2 }, {}, {}] });
});

test('brokers list', async () => {
  expect((await cli.run(['brokers', 'list'])).out).toMatch(/^BROKER .*\n +1 +broker-1/);
  expect(await cli.json(['brokers', 'list'])).toMatchObject([
    { id: 1, fenced: false, inControlledShutdown: false, decommissioning: false, leaders: 2, replicas: 2 },
    { id: 2, leaders: 0, replicas: 1 },
    { id: 3 },
  ]);
});

test('decommission ends when the broker is empty; unregister when it is stopped too', async () => {
  let asked = 0;
  cli.cluster.intercept(({ method }) => {
    if (method === 'DecommissionBroker' && ++asked === 3) empty(3);
    return undefined;
  });
  const { code, out, err } = await cli.run(['brokers', 'decommission', '3', '--interval-ms', '1'], {
    stderrIsTerminal: true,
  });
  expect([code, out]).toEqual([0, 'broker 3 is empty\n']);
  expect(err).toContain('stop it, then: barnabas brokers unregister 3');
  expect(asked).toBe(3);
  const running = await cli.run(['brokers', 'unregister', '3']);
  expect([running.code, running.err]).toEqual([1, 'barnabas: broker 3 runs: stop it first [INVALID_REQUEST]\n']);
  cli.cluster.stopBroker(3);
  expect(await cli.run(['brokers', 'unregister', '3'])).toMatchObject({ code: 0, out: 'broker 3 is forgotten\n' });
  expect((await cli.run(['brokers', 'unregister', '3'])).err).toContain('[BROKER_ID_NOT_REGISTERED]');
});

test('partitions of a topic that cannot leave for one reason are one line', async () => {
  cli.cluster.replicas.stuck.push({ topic: 't', partition: 1 }, { topic: 't', partition: 0 });
  const { out } = await cli.run(['brokers', 'decommission', '1']);
  expect(out).toBe(
    't: partitions 0-1 cannot leave: no other broker may take it [INVALID_REPLICATION_FACTOR]\n' +
      'broker 1 still holds 2 partitions\n',
  );
});

test('decommission is taken back, begun without waiting, and interrupted', async () => {
  const begun = await cli.run(['brokers', 'decommission', '2', '--no-wait']);
  expect(begun).toMatchObject({ code: 0, out: 'broker 2 still holds 1 partition\n' });
  expect(await cli.json(['brokers', 'decommission', '2', '--cancel'])).toMatchObject({ cancelled: true });
  expect([...cli.cluster.replicas.decommissioning]).toEqual([]);
  const interrupted = AbortSignal.abort();
  const { code, err } = await cli.run(['brokers', 'decommission', '2'], { interrupted });
  expect(code).toBe(130);
  expect(err).toContain('goes on being emptied');
});

test('partitions that cannot leave are named, and a failure', async () => {
  cli.cluster.replicas.stuck.push({ topic: 't', partition: 0 });
  const { code, out, err } = await cli.run(['brokers', 'decommission', '2']);
  expect(out).toBe(
    't-0 cannot leave: no other broker may take it [INVALID_REPLICATION_FACTOR]\nbroker 2 still holds 1 partition\n',
  );
  expect([code, err]).toEqual([1, 'barnabas: 1 partition cannot leave broker 2: add a broker, or --cancel\n']);
  const json = await cli.run(['brokers', 'decommission', '2', '--json']);
  expect([json.code, JSON.parse(json.out)]).toEqual([
    1,
    {
      ...{ brokerId: 2, remainingPartitions: 1 },
      stuck: [
        {
          ...{ topic: 't', partition: 0 },
          error: { code: 'INVALID_REPLICATION_FACTOR', message: 'no other broker may take it' },
        },
      ],
    },
  ]);
});

test.each(['x', '-1', '1.5'])('%s is no broker', async (id) => {
  const { code, err } = await cli.run(['brokers', 'decommission', '--', id]);
  expect(code).toBe(2);
  expect(err).toContain('Must be a whole number from 0');
});

describe('leader-election', () => {
  test('preferred: of a topic, of a partition, of all', async () => {
    cli.cluster.moveLeader('t', 0, 2);
    cli.cluster.moveLeader('t', 1, 3);
    const one = await cli.run(['leader-election', '--type', 'preferred', '-t', 't', '--partition', '1']);
    expect(one).toMatchObject({ code: 0, err: '1 leader elected\n' });
    expect(one.out).toMatch(/^TOPIC +PARTITION +LEADER\nt +1 +1\n$/);
    expect(await cli.json(['leader-election', '--type', 'preferred', '-t', 't'])).toEqual([
      { topic: 't', partition: 0, leader: 1, elected: true },
      { topic: 't', partition: 1, leader: 1, elected: false },
    ]);
    expect((await cli.run(['leader-election', '--type', 'preferred', '--all'])).err).toContain(
      'no election was needed',
    );
  });

  test('unclean, and what is impossible', async () => {
    cli.cluster.moveLeader('t', 1, -1);
    cli.cluster.stopBroker(1);
    const argv = ['leader-election', '-t', 't', '--partition', '1', '--type'];
    expect((await cli.run([...argv, 'preferred'])).err).toContain('[PREFERRED_LEADER_NOT_AVAILABLE]');
    expect((await cli.run([...argv, 'unclean'])).out).toMatch(/t +1 +3\n$/);
  });

  test('who could be elected is shown where others could not, and one reason is said once', async () => {
    cli.place('t', 0, [1, 2]);
    cli.place('t', 1, [2, 3]);
    cli.cluster.moveLeader('t', 0, 2);
    cli.cluster.moveLeader('t', 1, 3);
    cli.cluster.stopBroker(1);
    const some = await cli.run(['leader-election', '--type', 'preferred', '--all']);
    expect(some.out).toMatch(/^TOPIC +PARTITION +LEADER\nt +1 +2\n$/);
    expect([some.code, some.err]).toEqual([1, expect.stringContaining('[PREFERRED_LEADER_NOT_AVAILABLE]')]);
    expect(some.err).toContain('1 of 2 failed');
  });

  test.each([
    [[], 'elect leaders of what?'],
    [['--all', '-t', 't'], 'elect leaders of what?'],
    [['--all', '--partition', '1'], '--partition goes with --topic NAME'],
  ])('%j is refused', async (flags, message) => {
    const { code, err } = await cli.run(['leader-election', '--type', 'preferred', ...flags]);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  test('its type must be given', async () => {
    expect((await cli.run(['leader-election', '--all'])).code).toBe(2);
  });
});
