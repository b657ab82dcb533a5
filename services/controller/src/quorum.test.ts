/** Three controllers over real Raft in one process: followers and callers find whoever leads. */
import { systemClock } from '@barnabas/common/node';
import { announcedFeatures } from '@barnabas/metadata';
import { ControllerClient, ControllerDirectory, MetadataFollower } from '@barnabas/metadata/follower';
import { internal, v1 } from '@barnabas/protocol';
import { createConnector, LocalNetwork } from '@barnabas/rpc';
import type { Connector, Role } from '@barnabas/rpc';
import { MemoryStoreFactory } from '@barnabas/store';
import { controllerConfig, createController } from './index.js';
import { environmentFor } from './test-kit/cluster.js';

// Ports on which nobody listens: a controller that is stopped refuses at once.
const HOST = '127.0.0.1';
const voters = [1, 2, 3].map((id) => ({ id, host: HOST, port: id }));
const environment = environmentFor(systemClock);
const CLUSTER_ID = 'CCCCCCCCQAAAgAAAAAAAAA';
const UUID = 'AAAAAAAAQAAAgAAAAAAAAA';

let local: LocalNetwork;
let connector: Connector;
let store: MemoryStoreFactory;
let running: Map<number, Role>;
const ends: (() => void)[] = [];

const addressOf = (id: number) => `${HOST}:${id}`;

async function start(id: number): Promise<void> {
  const config = controllerConfig.parse({
    'node.id': id,
    'cluster.id': CLUSTER_ID,
    'controller.quorum.voters': voters.map((voter) => `${voter.id}@${voter.host}:${voter.port}`).join(','),
    'controller.quorum.election.timeout.ms': 150,
    'metadata.log.dir': `controller-${id}`,
  });
  const role = createController({ config, environment, connector, store });
  local.register(addressOf(id), role.services);
  await role.start({ host: HOST, port: id });
  running.set(id, role);
}

async function stop(id: number): Promise<void> {
  await running.get(id)?.stop(0);
  running.delete(id);
  local.unregister(addressOf(id));
}

async function follow(...ids: number[]): Promise<MetadataFollower> {
  const known = voters.filter((voter) => ids.length === 0 || ids.includes(voter.id));
  const follower = new MetadataFollower({
    connector,
    controllers: new ControllerDirectory(known),
    nodeId: -1,
    ...environment,
  });
  follower.start();
  ends.push(() => follower.stop());
  await follower.ready;
  return follower;
}

function create(client: ControllerClient, name: string): Promise<v1.CreateTopicsResponse> {
  return client.createTopics(v1.CreateTopicsRequest.create({ topics: [v1.NewTopic.create({ name })] }));
}

beforeEach(async () => {
  local = new LocalNetwork();
  connector = createConnector({ local });
  store = new MemoryStoreFactory();
  running = new Map();
  await Promise.all(voters.map(({ id }) => start(id)));
});

afterEach(async () => {
  for (const end of ends.splice(0)) end();
  await Promise.all([...running.keys()].map(stop));
  connector.close();
});

test('a change made before the leader goes is there after it, on every controller', async () => {
  const client = new ControllerClient({ connector, controllers: new ControllerDirectory(voters), ...environment });
  const endpoints = [{ name: 'CLIENT', host: 'broker', port: 7700 }];
  const { brokerEpoch } = await client.registerBroker({
    brokerId: 1,
    clusterId: '',
    incarnationId: UUID,
    endpoints,
    rack: '',
    previousBrokerEpoch: -1,
    features: announcedFeatures(),
    flushIntervalMessages: 1,
  });
  const heartbeat = { brokerId: 1, brokerEpoch, metadataOffset: 100, wantFence: false, wantShutDown: false };
  expect(await client.brokerHeartbeat(heartbeat)).toMatchObject({ fenced: false });
  expect((await create(client, 'before')).results[0]?.error).toBeUndefined();

  const follower = await follow();
  const { leaderId } = await client.describeQuorum();
  await stop(leaderId);
  // The broker goes on with the new leader, under the same registration.
  expect(await client.brokerHeartbeat(heartbeat)).toMatchObject({ fenced: false });
  const { metadataOffset, results } = await create(client, 'after');
  expect(results[0]?.error).toBeUndefined();
  expect((await client.describeQuorum()).leaderId).not.toBe(leaderId);
  expect(await follower.waitFor((image) => image.offset >= metadataOffset, 10_000)).toBe(true);
  expect([...follower.image.topics.idsByName.keys()].sort()).toEqual(['after', 'before']);

  await start(leaderId);
  const images = await Promise.all(
    voters.map(async ({ id }) => {
      const own = await follow(id);
      expect(await own.waitFor((image) => image.offset >= metadataOffset, 10_000)).toBe(true);
      return own.image;
    }),
  );
  for (const image of images) {
    expect(image.clusterId).toBe(CLUSTER_ID);
    expect(image.topics.named('after')).toEqual(follower.image.topics.named('after'));
  }
});

test('a controller that does not lead says who does', async () => {
  const { leaderId } = await new ControllerClient({
    connector,
    controllers: new ControllerDirectory(voters),
    ...environment,
  }).describeQuorum();
  const leader = await follow().then(async (follower) => {
    await follower.waitFor(() => follower.controllerId !== -1, 10_000);
    return follower.controllerId;
  });
  expect(leaderId === -1 || leaderId === leader).toBe(true);
  const other = voters.find(({ id }) => id !== leader);
  const channel = connector.channel(addressOf(other?.id ?? 0));
  const refused = expect(channel.client(v1.AdminServiceDefinition).createTopics(v1.CreateTopicsRequest.create({})));
  await refused.rejects.toMatchObject({
    errorName: 'NOT_CONTROLLER',
    message: `controller ${leader} at ${addressOf(leader)} is active: ask it`,
  });
  const known = await channel.client(internal.ControllerServiceDefinition).describeQuorum({});
  expect(known).toMatchObject({ leaderId: leader, clusterId: CLUSTER_ID });
});
