/**
 * A quorum that changes while it is used, over real Raft in one process: it grows from one controller to
 * three, loses the one that founded it, and whoever was told of that one alone goes on.
 */
import { systemClock } from '@barnabas/common/node';
import { ControllerClient, ControllerDirectory, MetadataFollower } from '@barnabas/metadata/follower';
import { v1 } from '@barnabas/protocol';
import { createConnector, LocalNetwork } from '@barnabas/rpc';
import type { Connector, Role } from '@barnabas/rpc';
import { MemoryStoreFactory } from '@barnabas/store';
import { controllerConfig, createController } from './index.js';
import { environmentFor } from './test-kit/cluster.js';

const HOST = '127.0.0.1';
const environment = environmentFor(systemClock);
const CLUSTER_ID = 'CCCCCCCCQAAAgAAAAAAAAA';
const FIRST = { id: 1, host: HOST, port: 1 };

let local: LocalNetwork;
let connector: Connector;
let store: MemoryStoreFactory;
let running: Map<number, Role>;
/** Where each controller listens; they may move. */
let ports: Map<number, number>;
const ends: (() => void)[] = [];

const addressOf = (id: number) => `${HOST}:${ports.get(id) ?? id}`;

async function start(id: number, values: Readonly<Record<string, unknown>> = {}, disk = `controller-${id}`) {
  const config = controllerConfig.parse({
    'node.id': id,
    'cluster.id': CLUSTER_ID,
    'controller.quorum.election.timeout.ms': 150,
    'metadata.log.dir': disk,
    ...values,
  });
  const role = createController({ config, environment, connector, store });
  local.register(addressOf(id), role.services);
  running.set(id, role);
  await role.start({ host: HOST, port: ports.get(id) ?? id });
}

async function stop(id: number): Promise<void> {
  await running.get(id)?.stop(0);
  running.delete(id);
  local.unregister(addressOf(id));
}

const JOINING = { 'controller.quorum.bootstrap.servers': `${HOST}:1` };

/** Asks the quorum for what it is, until it is so. */
async function until(client: ControllerClient, holds: (quorum: v1.DescribeQuorumResponse) => boolean) {
  for (;;) {
    const quorum = await client.describeQuorumMembers({});
    if (holds(quorum)) return quorum;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const add = (client: ControllerClient, id: number, change: Partial<v1.AddVoterRequest> = {}) =>
  client.addVoter({ id, directoryId: '', host: '', port: 0, timeoutMs: 20_000, ...change });
const remove = (client: ControllerClient, id: number, directoryId = '') =>
  client.removeVoter({ id, directoryId, timeoutMs: 20_000 });
const idsOf = (replicas: readonly v1.QuorumReplica[]) => replicas.map(({ id }) => id).sort();

function clientOf(controllers = new ControllerDirectory([FIRST])): ControllerClient {
  return new ControllerClient({ connector, controllers, ...environment });
}

beforeEach(async () => {
  local = new LocalNetwork();
  connector = createConnector({ local });
  store = new MemoryStoreFactory();
  running = new Map();
  ports = new Map();
  await start(1);
});

afterEach(async () => {
  for (const end of ends.splice(0)) end();
  await Promise.all([...running.keys()].map(stop));
  connector.close();
});

async function grow(client: ControllerClient): Promise<void> {
  for (const id of [2, 3]) {
    await start(id, JOINING);
    await add(client, id);
  }
}

test('grows from one to three, and whoever knew only the first goes on without it', async () => {
  const controllers = new ControllerDirectory([FIRST]);
  const client = clientOf(controllers);
  const follower = new MetadataFollower({ connector, controllers, nodeId: -1, ...environment });
  follower.start();
  ends.push(() => follower.stop());
  await follower.ready;

  await grow(client);
  const three = await client.describeQuorumMembers({});
  expect([three.clusterId, three.leaderId, idsOf(three.voters), three.observers]).toEqual([
    CLUSTER_ID,
    1,
    [1, 2, 3],
    [],
  ]);
  expect(new Set(three.voters.map(({ directoryId }) => directoryId)).size).toBe(3);
  expect(three.voters.find(({ id }) => id === 1)).toMatchObject({ host: HOST, port: 1, lag: 0, lastContactMs: 0 });

  expect((await client.transferQuorumLeadership({ to: 2, timeoutMs: 20_000 })).leaderId).toBe(2);
  await remove(client, 1);
  const two = await until(client, ({ leaderId }) => leaderId === 2);
  expect(idsOf(two.voters)).toEqual([2, 3]);
  await stop(1);

  // Neither was configured with 2 or 3.
  const update = { resources: [], validateOnly: false };
  expect((await client.incrementalAlterConfigs(update)).results).toEqual([]);
  const key = { resource: { type: v1.ConfigResourceType.BROKER, name: '' }, ops: [] };
  const ops = [{ key: 'log.retention.ms', type: v1.AlterConfigOpType.SET, value: '5' }];
  const { metadataOffset } = await client.incrementalAlterConfigs({ ...update, resources: [{ ...key, ops }] });
  expect(await follower.waitFor((image) => image.offset >= metadataOffset, 20_000)).toBe(true);
  expect(controllers.voters.map(({ id }) => id).sort()).toEqual([2, 3]);
});

test('a controller whose disk is lost comes back as another voter, once its old self is removed', async () => {
  const client = clientOf();
  await grow(client);
  const before = await client.describeQuorumMembers({});
  const lost = before.voters.find(({ id }) => id === 3)?.directoryId ?? '';
  await stop(3);
  // It is followed once its old self is gone.
  const joined = start(3, JOINING, 'a-new-disk');
  const seen = await until(client, ({ observers }) => observers.some(({ id }) => id === 3));
  const fresh = seen.observers.find(({ id }) => id === 3)?.directoryId ?? '';
  expect(fresh).not.toBe(lost);
  await expect(add(client, 3, { directoryId: fresh })).rejects.toMatchObject({ errorName: 'DUPLICATE_VOTER' });
  await remove(client, 3, lost);
  await joined;
  await add(client, 3, { directoryId: fresh });
  const { voters } = await client.describeQuorumMembers({});
  expect(voters.map(({ directoryId }) => directoryId)).toContain(fresh);
  expect(voters.map(({ directoryId }) => directoryId)).not.toContain(lost);
});

test('only the leader answers about the quorum; what cannot be is refused', async () => {
  const client = clientOf();
  await grow(client);
  const follower = connector.channel(addressOf(3)).client(v1.AdminServiceDefinition);
  for (const asked of [
    follower.describeQuorum({}),
    follower.addVoter({ id: 9, directoryId: '', host: '', port: 0, timeoutMs: 0 }),
    follower.removeVoter({ id: 3, directoryId: '', timeoutMs: 0 }),
    follower.transferQuorumLeadership({ to: 3, timeoutMs: 0 }),
  ]) {
    await expect(asked).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
  }
  await expect(add(client, 2)).rejects.toMatchObject({ errorName: 'DUPLICATE_VOTER' });
  await expect(add(client, 9)).rejects.toMatchObject({ errorName: 'VOTER_NOT_FOUND' });
  await expect(add(client, 9, { host: 'somewhere' })).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
  await expect(remove(client, 9)).rejects.toMatchObject({ errorName: 'VOTER_NOT_FOUND' });
  await remove(client, 3);
  await remove(client, 2);
  await expect(remove(client, 1)).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
});

test('a controller that has moved says where it is', async () => {
  const client = clientOf();
  await stop(1);
  ports.set(1, 4711);
  await start(1, { 'controller.quorum.voters': `1@${HOST}:4711` });
  const moved = clientOf(new ControllerDirectory([{ ...FIRST, port: 4711 }]));
  const { voters } = await until(moved, (quorum) => quorum.voters[0]?.port === 4711);
  expect(voters).toHaveLength(1);
  await expect(client.describeQuorum({ timeoutMs: 1 })).rejects.toThrow();
});

test('a controller of another cluster is not let in', async () => {
  const client = clientOf();
  const stranger = start(2, { ...JOINING, 'cluster.id': 'DDDDDDDDQAAAgAAAAAAAAA' });
  const refused = expect(stranger).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
  await expect(add(client, 2)).rejects.toMatchObject({ errorName: 'VOTER_NOT_FOUND' });
  await stop(2);
  await refused;
  // Nor does its disk take part in this one.
  await expect(start(2, JOINING)).rejects.toMatchObject({ errorName: 'INCONSISTENT_CLUSTER_ID' });
});
