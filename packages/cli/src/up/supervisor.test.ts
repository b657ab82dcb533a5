import { deferred } from '@barnabas/common';
import type { Deferred } from '@barnabas/common';
import { CliError } from '../errors.js';
import { planCluster } from './plan.js';
import type { PlannedNode } from './plan.js';
import { Supervisor } from './supervisor.js';
import type { NodeExit, SupervisedNode, SupervisorOptions } from './supervisor.js';

class FakeNode implements SupervisedNode {
  readonly readiness: Deferred<void> = deferred<void>();
  readonly end: Deferred<NodeExit> = deferred<NodeExit>();
  readonly ready = this.readiness.promise;
  readonly exited = this.end.promise;

  constructor(
    readonly node: PlannedNode,
    readonly pid: number,
    private readonly journal: string[],
  ) {
    this.ready.catch(() => {});
  }

  stop(): Promise<void> {
    this.journal.push(`stop ${this.node.role}-${this.node.id}`);
    this.end.resolve({ code: 0, signal: null });
    return Promise.resolve();
  }

  kill(): void {
    this.end.resolve({ code: null, signal: 'SIGKILL' });
  }
}

function setUp(overrides: Partial<SupervisorOptions> = {}) {
  const journal: string[] = [];
  const lines: object[] = [];
  const nodes: FakeNode[] = [];
  const stop = new AbortController();
  const clusterReady = deferred<void>();
  const supervisor = new Supervisor({
    plan: planCluster({ brokers: 2, controllers: 1, gateways: 1 }, '/data', { basePort: 7600 }),
    startNode: (node) => {
      const started = new FakeNode(node, 100 + nodes.length, journal);
      nodes.push(started);
      return Promise.resolve(started);
    },
    clusterReady: () => clusterReady.promise,
    report: (line) => lines.push(line),
    restart: false,
    restartAfterMs: 0,
    graceMs: 1000,
    stopped: stop.signal,
    ...overrides,
  });
  const find = (name: string) => {
    const found = nodes.filter(({ node }) => `${node.role}-${node.id}` === name).at(-1);
    if (found === undefined) throw new Error(`${name} was not started`);
    return found;
  };
  return { supervisor, journal, lines, nodes, stop, clusterReady, find };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

async function running(overrides: Partial<SupervisorOptions> = {}) {
  const cluster = setUp(overrides);
  const run = cluster.supervisor.run();
  run.catch(() => {});
  await settle();
  for (const node of cluster.nodes) node.readiness.resolve();
  cluster.clusterReady.resolve();
  await settle();
  return { ...cluster, run };
}

test('each node is reported as it is up, the cluster when it serves', async () => {
  const { supervisor, lines, find, clusterReady, nodes, stop } = setUp();
  const run = supervisor.run();
  await settle();
  find('broker-2').readiness.resolve();
  await settle();
  expect(lines).toEqual([{ role: 'broker', id: 2, pid: 102, address: '127.0.0.1:7701' }]);
  for (const node of nodes) node.readiness.resolve();
  await settle();
  expect(lines).toHaveLength(4);
  clusterReady.resolve();
  await settle();
  expect(lines.at(-1)).toEqual({ ready: true, bootstrap: '127.0.0.1:7600' });
  stop.abort();
  await run;
});

test('stops gateways, then brokers, then controllers, and does not report that', async () => {
  const { run, lines, journal, stop } = await running();
  const before = lines.length;
  stop.abort();
  await run;
  expect(journal).toEqual(['stop gateway-1', 'stop broker-1', 'stop broker-2', 'stop controller-1']);
  expect(lines).toHaveLength(before);
});

test('a node that dies is reported and not started again', async () => {
  const { run, lines, nodes, find, stop } = await running();
  find('broker-1').end.resolve({ code: null, signal: 'SIGKILL' });
  await settle();
  expect(lines.at(-1)).toEqual({ role: 'broker', id: 1, pid: 101, exited: null, signal: 'SIGKILL' });
  expect(nodes).toHaveLength(4);
  stop.abort();
  await run;
});

test('with restart a node that dies is started again and reported when it is up', async () => {
  const { run, lines, nodes, find, stop } = await running({ restart: true });
  find('broker-1').end.resolve({ code: 1, signal: null });
  while (nodes.length < 5) await settle();
  find('broker-1').readiness.resolve();
  await settle();
  expect(lines.slice(-2)).toEqual([
    { role: 'broker', id: 1, pid: 101, exited: 1, signal: null },
    { role: 'broker', id: 1, pid: 104, address: '127.0.0.1:7700' },
  ]);
  stop.abort();
  await run;
});

test('a node that ends before it is ready ends the cluster, and everything else is stopped', async () => {
  const { supervisor, journal, find } = setUp();
  const run = supervisor.run();
  await settle();
  find('broker-2').readiness.reject(new CliError('broker-2 ended with code 1 before it was ready: no disk'));
  find('broker-2').end.resolve({ code: 1, signal: null });
  await expect(run).rejects.toThrow('broker-2 ended with code 1 before it was ready: no disk');
  expect(journal).toEqual(['stop gateway-1', 'stop broker-1', 'stop controller-1']);
});

test('a stop while nodes start stops those that have', async () => {
  const { supervisor, journal, stop } = setUp();
  const run = supervisor.run();
  await settle();
  stop.abort();
  await run;
  expect(journal).toHaveLength(4);
});

test('when the last node has died the command fails', async () => {
  const { run, nodes } = await running();
  for (const node of nodes) node.end.resolve({ code: null, signal: 'SIGKILL' });
  await expect(run).rejects.toThrow('no node is running any more');
});
