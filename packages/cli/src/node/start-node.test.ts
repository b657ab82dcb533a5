import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import { PrometheusMetrics } from '@barnabas/common/node';
import { BarnabasClient } from '@barnabas/client';
import { startNode } from './start-node.js';
import type { NodeOptions, RunningNode } from './start-node.js';

const FREE_PORTS = {
  'controller.listeners': 'CONTROLLER://127.0.0.1:0',
  listeners: 'CLIENT://127.0.0.1:0',
  'gateway.listeners': 'CLIENT://127.0.0.1:0',
  'http.port': 0,
};

let root: string;
const running: RunningNode[] = [];
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'barnabas-node-'));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.stop(1000)));
  rmSync(root, { recursive: true, force: true });
});

async function start(options: Partial<NodeOptions> = {}): Promise<RunningNode> {
  const { config, ...rest } = options;
  const node = await startNode({
    dataDir: path.join(root, 'data'),
    logger: silentLogger,
    metrics: new PrometheusMetrics({ processMetrics: false }),
    config: { ...FREE_PORTS, ...config },
    ...rest,
  });
  running.push(node);
  return node;
}

async function withClient<T>(node: RunningNode, use: (client: BarnabasClient) => Promise<T>): Promise<T> {
  const client = new BarnabasClient({ bootstrap: node.bootstrap ?? '' });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

test('all roles in one process serve, keep their data and their cluster id over a restart', async () => {
  const first = await start();
  expect([...first.addresses.keys()]).toEqual(['controller', 'broker', 'gateway']);
  const sent = await withClient(first, async (client) => {
    await client.admin().createTopics([{ name: 'clicks', partitions: 2 }]);
    return client.producer().send({ topic: 'clicks', partition: 1, value: 'hello' });
  });
  expect(sent).toMatchObject({ topic: 'clicks', partition: 1, offset: 0 });
  await first.stop(5000);

  const second = await start();
  expect(second.clusterId).toBe(first.clusterId);
  const values = await withClient(second, async (client) => {
    const consumer = client.consumer();
    await consumer.assign([{ topic: 'clicks', partition: 1, position: 'earliest' }]);
    for await (const record of consumer) return record.value?.toString();
    return undefined;
  });
  expect(values).toBe('hello');
  expect(readFileSync(path.join(second.dataDir, 'meta', 'meta.properties'), 'utf8')).toBe(
    `version=1\ncluster.id=${second.clusterId}\nnode.id=1\n`,
  );
});

test('the gateway serves metrics of the whole process and its health over HTTP', async () => {
  const node = await start();
  const url = `http://${node.http === undefined ? '' : formatAddress(node.http)}`;
  const ready = await fetch(`${url}/health/ready`);
  expect(ready.status).toBe(200);
  await ready.body?.cancel();
  expect(await (await fetch(`${url}/metrics`)).text()).toContain('barnabas_');
});

test('one role each, in their own places, make a cluster', async () => {
  const controller = await start({ roles: ['controller'], dataDir: path.join(root, 'c') });
  expect(controller.bootstrap).toBeUndefined();
  const at = controller.addresses.get('controller');
  const config = { 'controller.quorum.voters': `1@${at === undefined ? '' : formatAddress(at)}` };
  const brokers = await Promise.all(
    [1, 2].map((id) =>
      start({ roles: ['broker'], dataDir: path.join(root, `b${id}`), config: { ...config, 'node.id': id } }),
    ),
  );
  const gateway = await start({ roles: ['gateway'], dataDir: path.join(root, 'g'), config });
  const cluster = await withClient(gateway, (client) => client.admin().describeCluster());
  expect(cluster.clusterId).toBe(controller.clusterId);
  expect(cluster.brokers.map(({ id, fenced }) => [id, fenced])).toEqual([
    [1, false],
    [2, false],
  ]);
  expect(brokers.map((broker) => broker.bootstrap)).toEqual(cluster.brokers.map(({ address }) => address));
});

test('a directory in use, of another node, or of another cluster is refused, and left alone', async () => {
  const node = await start();
  await expect(start()).rejects.toThrow(`is in use by process ${process.pid}`);
  await node.stop(5000);
  await expect(start({ config: { 'node.id': 2 } })).rejects.toThrow('belongs to node 1, not 2');
  await expect(start({ config: { 'cluster.id': 'other' } })).rejects.toThrow(
    `belongs to cluster ${node.clusterId}, not other`,
  );
  const again = await start();
  expect(again.clusterId).toBe(node.clusterId);
});

test('a taken port stops everything that had begun, and the directory is free again', async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const { port } = blocker.address() as AddressInfo;
  const taken = { 'gateway.listeners': `CLIENT://127.0.0.1:${port}` };
  await expect(start({ config: taken })).rejects.toThrow(
    `the gateway cannot listen on 127.0.0.1:${port}: the port is taken; choose another with --port`,
  );
  await expect(start({ config: { 'http.port': port } })).rejects.toThrow(
    /cannot serve HTTP on .*: .*EADDRINUSE.*http\.port/,
  );
  await new Promise((resolve) => blocker.close(resolve));
  await start({ config: taken });
});
