/**
 * Group coordinators on three real brokers, by their unary calls: made once, found from anywhere, moved by
 * a death, a stop and a restart, with everything that was committed still there.
 */
import type { RunningNode } from '@barnabas/cli/node';
import { CONSUMER_OFFSETS_TOPIC, coordinatorPartition, errorFromProto, v1 } from '@barnabas/protocol';
import type { ErrorMessage } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import type { Connector, ServiceClient } from '@barnabas/rpc';
import { addressOf, Nodes, until } from '../support/nodes';

const BROKERS = [1, 2, 3];
const GROUPS = ['g', 'orders-service', 'x', 'another'];

let nodes: Nodes;
let connector: Connector;
let brokers: Map<number, RunningNode>;
let quorum: Readonly<Record<string, unknown>>;

const startBroker = async (id: number): Promise<void> => {
  const config = {
    ...quorum,
    'node.id': id,
    'broker.heartbeat.interval.ms': 100,
    'replica.lag.time.max.ms': 2_000,
    'offsets.topic.num.partitions': 5,
    'group.consumer.session.timeout.ms': 5_000,
    'group.consumer.heartbeat.interval.ms': 1_000,
  };
  brokers.set(id, await nodes.start({ name: `broker-${id}`, roles: ['broker'], config }));
};

beforeEach(async () => {
  nodes = new Nodes();
  connector = createConnector();
  brokers = new Map();
  const controller = await nodes.start({
    name: 'controller',
    roles: ['controller'],
    config: { 'broker.session.timeout.ms': 1_000 },
  });
  quorum = { 'controller.quorum.voters': `1@${addressOf(controller, 'controller')}` };
  await Promise.all(BROKERS.map(startBroker));
  const topics = [v1.NewTopic.create({ name: 'orders', partitions: 6, replicationFactor: 3 })];
  await any(v1.AdminServiceDefinition).createTopics(v1.CreateTopicsRequest.create({ topics }));
});
afterEach(async () => {
  connector?.close();
  await nodes?.close();
});

function at<
  S extends typeof v1.GroupServiceDefinition | typeof v1.AdminServiceDefinition | typeof v1.MetadataServiceDefinition,
>(id: number, definition: S): ServiceClient<S> {
  const node = brokers.get(id);
  if (node === undefined) throw new Error(`broker ${id} does not run`);
  return connector.channel(addressOf(node, 'broker')).client(definition);
}

function any<S extends typeof v1.AdminServiceDefinition | typeof v1.MetadataServiceDefinition>(
  definition: S,
): ServiceClient<S> {
  const [id = 0] = brokers.keys();
  return at(id, definition) as ServiceClient<S>;
}

/** Asks brokers as a client does: the one that is named, until somebody answers. */
async function ask<R extends { error?: ErrorMessage | undefined }>(
  call: (client: ServiceClient<typeof v1.GroupServiceDefinition>) => Promise<R>,
): Promise<R> {
  let [next = 0] = brokers.keys();
  for (;;) {
    try {
      const response = await call(
        at(brokers.has(next) ? next : ([...brokers.keys()][0] ?? 0), v1.GroupServiceDefinition),
      );
      if (response.error === undefined) return response;
      const error = errorFromProto(response.error);
      if (!error.retriable && error.errorName !== 'NOT_COORDINATOR') throw error;
      const leader = error.facts?.['leader'];
      if (typeof leader === 'number') next = leader;
      else await new Promise((resolve) => setTimeout(resolve, 10));
    } catch (error) {
      const name = (error as { errorName?: string }).errorName;
      if (name !== 'NETWORK_EXCEPTION' && name !== 'BROKER_NOT_AVAILABLE') throw error;
      next = [...brokers.keys()].find((id) => id !== next) ?? next;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

const commit = (groupId: string, offset: number) =>
  ask((client) => {
    const offsets = [0, 1, 2].map((partition) =>
      v1.OffsetToCommit.create({ partition: { topic: 'orders', topicId: '', partition }, offset: offset + partition }),
    );
    return client.commitOffsets(v1.CommitOffsetsRequest.create({ groupId, offsets }));
  });

async function committed(groupId: string): Promise<number[]> {
  const { offsets } = await ask((client) => client.fetchOffsets(v1.FetchOffsetsRequest.create({ groupId })));
  return offsets.map(({ offset }) => offset);
}

const beat = (request: Partial<v1.ConsumerGroupHeartbeatRequest>) =>
  ask((client) => client.consumerGroupHeartbeat(v1.ConsumerGroupHeartbeatRequest.create({ groupId: 'g', ...request })));

const joining = (memberId: string, change: Partial<v1.ConsumerGroupHeartbeatRequest> = {}) =>
  beat({
    ...{ memberId, incarnation: 1, rebalanceTimeoutMs: 10_000 },
    subscription: { topics: ['orders'], pattern: '' },
    ...change,
  });

async function offsetsTopic(): Promise<v1.Topic> {
  const request = v1.GetMetadataRequest.create({ topics: [CONSUMER_OFFSETS_TOPIC] });
  const [topic] = (await any(v1.MetadataServiceDefinition).getMetadata(request)).topics;
  if (topic === undefined) throw new Error('no topic was described');
  return topic;
}

async function coordinatorOf(groupId: string): Promise<number> {
  const { partitions } = await offsetsTopic();
  return partitions[coordinatorPartition(groupId, partitions.length)]?.leader ?? -1;
}

/** All replicas of all partitions are in sync: a death loses nothing and stops nobody. */
const inSync = () =>
  until(async () => (await offsetsTopic()).partitions.every(({ isr, replicas }) => isr.length === replicas.length));

test('many brokers that need the topic make it once, with a replica on each', async () => {
  const asked = BROKERS.flatMap((id) => GROUPS.map((groupId) => ({ id, groupId })));
  const found = await Promise.all(
    asked.map(({ id, groupId }) => at(id, v1.GroupServiceDefinition).findCoordinator({ groupIds: [groupId] })),
  );
  const topic = await offsetsTopic();
  expect(topic).toMatchObject({ internal: true, partitions: { length: 5 } });
  expect(topic.partitions.map(({ replicas }) => replicas.length)).toEqual([3, 3, 3, 3, 3]);
  for (const [index, { coordinators }] of found.entries()) {
    const groupId = asked[index]?.groupId ?? '';
    const partition = coordinatorPartition(groupId, 5);
    expect(coordinators).toMatchObject([{ groupId, partition, error: undefined }]);
    expect(BROKERS).toContain(coordinators[0]?.brokerId);
  }
});

test('what was committed survives the death of its coordinator, and the groups go on', async () => {
  for (const [index, groupId] of GROUPS.entries()) await commit(groupId, index * 10);
  const { memberEpoch, assignment } = await joining('one', { groupId: 'members' });
  expect(assignment?.partitions).toHaveLength(6);
  await inSync();
  const first = await coordinatorOf('members');
  await nodes.stop(`broker-${first}`, 0);
  brokers.delete(first);

  for (const [index, groupId] of GROUPS.entries()) {
    expect(await committed(groupId)).toEqual([index * 10, index * 10 + 1, index * 10 + 2]);
  }
  // The member lives on as if nothing had been, and its coordinator is another.
  const owned = { appliedVersion: assignment?.version ?? 0, partitions: assignment?.partitions ?? [] };
  const again = await beat({ groupId: 'members', memberId: 'one', memberEpoch, incarnation: 1, owned });
  expect(again).toMatchObject({ memberEpoch, assignment: undefined });
  expect(await coordinatorOf('members')).not.toBe(first);
  await commit('g', 70);

  await startBroker(first);
  await inSync();
  expect(await committed('g')).toEqual([70, 71, 72]);
});

test('a stop moves the coordinator at once, and a heartbeat that waits there hears of it', async () => {
  const one = await joining('one');
  await inSync();
  const first = await coordinatorOf('g');
  const owned = { appliedVersion: one.assignment?.version ?? 0, partitions: one.assignment?.partitions ?? [] };
  const request = { groupId: 'g', memberId: 'one', memberEpoch: 1, incarnation: 1, owned, maxWaitMs: 1_000 };
  const waiting = at(first, v1.GroupServiceDefinition).consumerGroupHeartbeat(
    v1.ConsumerGroupHeartbeatRequest.create(request),
  );
  const stopped = nodes.stop(`broker-${first}`);
  const told = await waiting;
  brokers.delete(first);
  await stopped;
  expect(told.error && errorFromProto(told.error)).toMatchObject({ errorName: 'NOT_COORDINATOR' });
  expect(await beat(request)).toMatchObject({ memberEpoch: 1 });
});

test('all brokers at once stop and start: groups, members and offsets are as they were', async () => {
  for (const [index, groupId] of GROUPS.entries()) await commit(groupId, index);
  const { memberEpoch } = await joining('one', { groupId: 'members', instanceId: 'place' });
  await Promise.all(BROKERS.map((id) => nodes.stop(`broker-${id}`, 0)));
  brokers.clear();
  await Promise.all(BROKERS.map(startBroker));
  for (const [index, groupId] of GROUPS.entries())
    expect(await committed(groupId)).toEqual([index, index + 1, index + 2]);
  expect(await beat({ groupId: 'members', memberId: 'one', memberEpoch, incarnation: 1 })).toMatchObject({
    memberEpoch,
  });
  const refused = joining('two', { groupId: 'members', instanceId: 'place' });
  await expect(refused).rejects.toMatchObject({ errorName: 'UNRELEASED_INSTANCE_ID' });
  const listed = await Promise.all(
    BROKERS.map((id) => at(id, v1.GroupServiceDefinition).listGroups(v1.ListGroupsRequest.create({}))),
  );
  const ids = listed.flatMap(({ groups }) => groups.map(({ groupId }) => groupId));
  expect(ids.sort()).toEqual([...GROUPS, 'members'].sort());
});

test('a topic that is deleted takes its commits with it, and one made anew begins without', async () => {
  await commit('g', 5);
  const admin = any(v1.AdminServiceDefinition);
  await admin.deleteTopics(v1.DeleteTopicsRequest.create({ names: ['orders'] }));
  await until(async () => (await committed('g')).length === 0);
  const topics = [v1.NewTopic.create({ name: 'orders', partitions: 6, replicationFactor: 3 })];
  await admin.createTopics(v1.CreateTopicsRequest.create({ topics }));
  expect(await committed('g')).toEqual([]);
});
