import { brokerConfig } from '@barnabas/broker';
import { controllerConfig } from '@barnabas/controller';
import { gatewayConfig } from '@barnabas/gateway';
import { readNodeConfig } from './node-config.js';
import type { NodeConfigOptions } from './node-config.js';

const read = (values: Readonly<Record<string, unknown>>, options: Partial<NodeConfigOptions> = {}) =>
  readNodeConfig({
    roles: ['controller', 'broker', 'gateway'],
    layers: [{ source: 'flag', values }],
    dataDir: '/data',
    stored: undefined,
    newClusterId: () => 'new-cluster',
    ...options,
  });

test('a node alone needs nothing: it is its own quorum, on this machine only', async () => {
  const config = await read({});
  expect(config).toMatchObject({ nodeId: 1, clusterId: 'new-cluster' });
  expect(config.controller).toMatchObject({
    'metadata.log.dir': '/data/controller',
    'controller.listeners': [{ name: 'CONTROLLER', host: '127.0.0.1', port: 7800 }],
  });
  expect(config.broker).toMatchObject({
    'log.dir': '/data/broker',
    listeners: [{ name: 'CLIENT', host: '127.0.0.1', port: 7700 }],
    'controller.quorum.voters': [{ id: 1, host: '127.0.0.1', port: 7800 }],
  });
  expect(config.gateway).toMatchObject({
    'gateway.listeners': [{ name: 'CLIENT', host: '127.0.0.1', port: 7600 }],
    'controller.quorum.voters': [{ id: 1, host: '127.0.0.1', port: 7800 }],
  });
});

test('a controller on any free port is known to the other roles by the port it will have', async () => {
  const config = await read({ 'controller.listeners': 'CONTROLLER://0.0.0.0:0', 'node.id': 7 });
  const port = config.controller?.['controller.listeners'][0]?.port;
  expect(port).toBeGreaterThan(0);
  expect(config.broker?.['controller.quorum.voters']).toEqual([{ id: 7, host: '127.0.0.1', port }]);
});

test('what the data directory says holds where nothing else is given, and is told apart from what is', async () => {
  const stored = { nodeId: 5, clusterId: 'stored' };
  expect(await read({}, { stored })).toMatchObject({ nodeId: 5, clusterId: 'stored' });
  expect(await read({ 'node.id': 6, 'cluster.id': 'given' }, { stored })).toMatchObject({
    nodeId: 6,
    clusterId: 'given',
  });
});

test('several controllers must be told their cluster: each would make up its own', async () => {
  const voters = { 'controller.quorum.voters': '1@a:7800,2@b:7800,3@c:7800' };
  await expect(read(voters)).rejects.toThrow('cluster.id');
  expect(await read({ ...voters, 'cluster.id': 'c' })).toMatchObject({ clusterId: 'c' });
});

test('one file serves every role: a node takes the keys of its own and refuses those of none', async () => {
  const file = { 'broker.session.timeout.ms': '5000', 'linger.ms': '1', 'log.retention.ms': '7' };
  const voters = { 'controller.quorum.voters': '1@a:7800' };
  const { broker, controller, gateway } = await read({ ...file, ...voters }, { roles: ['broker'] });
  expect(broker).toMatchObject({ 'log.retention.ms': 7 });
  expect([controller, gateway]).toEqual([undefined, undefined]);
  await expect(read({ 'lingering.ms': '1' })).rejects.toThrow('the nearest known key is linger.ms');
});

test('a key that several roles have takes the same kind of value, and the default of each, in all of them', () => {
  const definitions = [controllerConfig, brokerConfig, gatewayConfig];
  const described = definitions.flatMap((definition) => definition.describe());
  expect(described.length).toBeGreaterThan(new Set(described.map(({ key }) => key)).size);
  for (const { key, type, defaultValue } of described) {
    const types = described.filter((other) => other.key === key).map((other) => other.type);
    expect({ key, types: new Set(types) }).toEqual({ key, types: new Set([type]) });
    if (defaultValue === null) continue;
    for (const definition of definitions.filter((candidate) => candidate.has(key))) {
      expect(() => definition.parsePartial({ [key]: defaultValue })).not.toThrow();
    }
  }
});
