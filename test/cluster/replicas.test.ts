/** Replicas moved by commands between real brokers: a plan, a throttle, a broker that is emptied and forgotten. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { RunningNode } from '@barnabas/cli/node';
import { command } from '../support/command';
import { addressOf, Nodes, readAll, until } from '../support/nodes';

let nodes: Nodes;
let first: RunningNode;
beforeEach(async () => {
  nodes = new Nodes();
  const life = { 'broker.session.timeout.ms': 4_000, 'broker.heartbeat.interval.ms': 500 };
  first = await nodes.start({ name: 'first', config: life });
  const controllers = { 'controller.quorum.bootstrap.servers': addressOf(first, 'controller') };
  await Promise.all(
    [2, 3].map((id) =>
      nodes.start({ name: `broker-${id}`, roles: ['broker'], config: { 'node.id': id, ...life, ...controllers } }),
    ),
  );
});
afterEach(() => nodes.close());

const barnabas = (argv: readonly string[], stdin?: Readable) =>
  command(argv, { bootstrap: first.bootstrap ?? '', ...(stdin === undefined ? {} : { stdin }) });

async function succeed(...argv: string[]): Promise<string> {
  const { code, out, err } = await barnabas(argv);
  expect({ argv, code, err }).toMatchObject({ code: 0 });
  return out;
}

interface Described {
  readonly partitions: readonly {
    readonly leader: number;
    readonly replicas: readonly number[];
    readonly isr: readonly number[];
    readonly lag: number | null;
    readonly endOffset: number | null;
    readonly replicaStates: readonly { readonly brokerId: number; readonly lag: number; readonly inSync: boolean }[];
  }[];
}

const describeTopic = async (name: string) =>
  (JSON.parse(await succeed('topics', 'describe', name, '--json')) as Described[])[0]?.partitions ?? [];

test('a plan moves replicas with their records; describe shows how far each is; a throttle comes and goes', async () => {
  await succeed('topics', 'create', 't', '--replica-assignment', '1:2,2:1');
  const lines = Array.from({ length: 500 }, (_, n) => `${n}\n`).join('');
  expect((await barnabas(['produce', 't'], Readable.from([Buffer.from(lines)]))).code).toBe(0);

  const plan = path.join(nodes.root, 'plan.json');
  writeFileSync(plan, await succeed('reassign', 'generate', '--topic', 't', '--brokers', '2,3'));
  await succeed('reassign', 'execute', '--plan', plan, '--throttle', '10000000', '--wait', '--interval-ms', '20');
  expect(await succeed('reassign', 'verify', '--plan', plan)).toContain('are as planned');
  expect(await succeed('reassign', 'list')).toBe('');
  for (const argv of [
    ['--topic', 't'],
    ['--broker', '2'],
    ['--broker', '3'],
  ]) {
    expect(await succeed('configs', 'describe', ...argv)).not.toContain('throttled');
  }

  await until(async () => (await describeTopic('t')).every(({ lag }) => lag === 0));
  for (const partition of await describeTopic('t')) {
    expect([...partition.replicas].sort()).toEqual([2, 3]);
    expect([...partition.isr].sort()).toEqual([2, 3]);
    expect([2, 3]).toContain(partition.leader);
    expect(partition.replicaStates.map(({ inSync }) => inSync)).toEqual([true, true]);
  }
  const found = await readAll(nodes.client(first), 't', 2);
  expect(new Set(found.map(({ value }) => Number(value))).size).toBe(500);
  expect(found).toHaveLength(500);
}, 60_000);

test('a broker is emptied, stopped and forgotten, and keeps nobody waiting', async () => {
  await succeed('topics', 'create', 't', '--replica-assignment', '3:1,2:3,3:2');
  expect((await barnabas(['produce', 't'], Readable.from([Buffer.from('a\nb\nc\n')]))).code).toBe(0);
  expect(await succeed('brokers', 'decommission', '3', '--interval-ms', '20')).toBe('broker 3 is empty\n');
  const replicas = (await describeTopic('t')).map((partition) => [...partition.replicas].sort());
  expect(replicas).toEqual([
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
  const running = await barnabas(['brokers', 'unregister', '3']);
  expect([running.code, running.err]).toEqual([1, expect.stringContaining('[INVALID_REQUEST]') as string]);
  await nodes.stop('broker-3');
  // It counts as running until its session is over, however well it has stopped.
  await until(async () => (await barnabas(['brokers', 'unregister', '3'])).code === 0);
  expect(await succeed('brokers', 'list', '--json')).not.toContain('"id":3');
  expect(await readAll(nodes.client(first), 't', 3)).toHaveLength(3);
}, 60_000);
