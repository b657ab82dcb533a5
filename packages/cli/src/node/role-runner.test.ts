import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { deferred, silentLogger } from '@barnabas/common';
import { systemClock } from '@barnabas/common/node';
import { HealthDefinition, LocalNetwork, createConnector } from '@barnabas/rpc';
import type { Role } from '@barnabas/rpc';
import { RoleRunner } from './role-runner.js';
import type { RoleSetup } from './role-runner.js';
import type { RoleName } from './role-set.js';

const LOCALHOST = { host: '127.0.0.1', port: 0 };

function setup(journal: string[], name: RoleName, overrides: Partial<Role> = {}): RoleSetup {
  const role: Role = {
    name,
    services: [],
    start: async () => void journal.push(`${name} started`),
    stop: async () => void journal.push(`${name} stopped`),
    failed: new Promise<never>(() => {}),
    ...overrides,
  };
  return { name, listen: [LOCALHOST], portSetting: `--${name}-port`, create: () => role, aliases: [] };
}

function runner(setups: readonly RoleSetup[], local = new LocalNetwork()): RoleRunner {
  return new RoleRunner({ setups, local, logger: silentLogger, clock: systemClock });
}

async function healthOf(port: number): Promise<unknown> {
  const connector = createConnector();
  try {
    const health = connector.channel(`127.0.0.1:${port}`).client(HealthDefinition);
    return await health.check({ service: '' });
  } finally {
    connector.close();
  }
}

test('roles start in order and stop in reverse, and each is bound before the first starts', async () => {
  const journal: string[] = [];
  const node: RoleRunner = runner([
    setup(journal, 'controller', { start: async () => void journal.push(`bound ${node.addresses.size}`) }),
    setup(journal, 'gateway'),
  ]);
  await node.start();
  expect([...node.addresses.keys()]).toEqual(['controller', 'gateway']);
  await node.stop(1000);
  await node.stop(1000);
  expect(journal).toEqual(['bound 2', 'gateway started', 'gateway stopped', 'controller stopped']);
});

test('a role serves only once it has started', async () => {
  const started = deferred<void>();
  const node = runner([setup([], 'broker', { start: () => started.promise })]);
  const starting = node.start();
  while (node.addresses.size === 0) await new Promise((resolve) => setImmediate(resolve));
  const port = node.addresses.get('broker')?.port ?? 0;
  const before = await healthOf(port);
  started.resolve();
  await starting;
  const after = await healthOf(port);
  expect([before, after]).toEqual([{ status: 2 }, { status: 1 }]);
  await node.stop(1000);
});

test('a start that waits is broken off, and what has begun is stopped', async () => {
  const journal: string[] = [];
  const waits = deferred<void>();
  const node = runner([setup(journal, 'controller'), setup(journal, 'gateway', { start: () => waits.promise })]);
  const abort = new AbortController();
  const starting = node.start(abort.signal);
  while (journal.length === 0) await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  await expect(starting).rejects.toThrow('told to stop');
  expect(journal).toEqual(['controller started', 'gateway stopped', 'controller stopped']);
});

test('when one role cannot start, those before it are stopped and the error is passed on', async () => {
  const journal: string[] = [];
  const node = runner([
    setup(journal, 'controller'),
    setup(journal, 'broker', { start: () => Promise.reject(new Error('no disk')) }),
  ]);
  await expect(node.start()).rejects.toThrow('no disk');
  expect(journal).toEqual(['controller started', 'broker stopped', 'controller stopped']);
});

test('a fault while another role starts ends the start', async () => {
  const fault = deferred<never>();
  const node = runner([
    setup([], 'controller', { failed: fault.promise }),
    setup([], 'broker', {
      start: () => {
        fault.reject(new Error('disk died'));
        return new Promise<void>(() => {});
      },
    }),
  ]);
  await expect(node.start()).rejects.toThrow('disk died');
  await expect(node.failed).rejects.toThrow('disk died');
});

test('a fault of a running role is the fault of the node', async () => {
  const fault = deferred<never>();
  const node = runner([setup([], 'controller', { failed: fault.promise })]);
  await node.start();
  fault.reject(new Error('disk died'));
  await expect(node.failed).rejects.toThrow('disk died');
  await node.stop(0);
});

test('a role that fails to stop does not keep the others running', async () => {
  const journal: string[] = [];
  const node = runner([
    setup(journal, 'controller'),
    setup(journal, 'broker', { stop: () => Promise.reject(new Error('stuck')) }),
  ]);
  await node.start();
  await node.stop(1000);
  expect(journal).toEqual(['controller started', 'broker started', 'controller stopped']);
});

test('a taken port is named, with how to choose another', async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const { port } = blocker.address() as AddressInfo;
  const node = runner([{ ...setup([], 'gateway'), listen: [{ host: '127.0.0.1', port }] }]);
  await expect(node.start()).rejects.toThrow(
    `the gateway cannot listen on 127.0.0.1:${port}: the port is taken; choose another with --gateway-port`,
  );
  await new Promise((resolve) => blocker.close(resolve));
});

test('co-located roles find each other under their bound address and under their aliases', async () => {
  const local = new LocalNetwork();
  const node = runner([{ ...setup([], 'controller'), aliases: ['controller-0.example:7800'] }], local);
  await node.start();
  const bound = `127.0.0.1:${node.addresses.get('controller')?.port}`;
  expect([local.find(bound), local.find('controller-0.example:7800')]).not.toContain(undefined);
  await node.stop(0);
  expect([local.find(bound), local.find('controller-0.example:7800')]).toEqual([undefined, undefined]);
});
