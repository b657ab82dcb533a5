/** DescribeReplicas over a network in the process: a gateway, two brokers that lead, one that is down. */
import { BarnabasError, errorToProto, v1 } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { TestNetwork } from '../test-kit/node.js';
import { ScriptedSource, broker, topic } from '../test-kit/scripted-source.js';
import { adminForwarder } from './admin-forwarder.js';
import type { AdminController } from './admin-forwarder.js';
import type { LocalReplicas } from './describe-replicas.js';

const { ErrorCode } = v1;

let network: TestNetwork;
let source: ScriptedSource;
/** Which partitions each broker was asked about. */
let asked: string[];

beforeEach(() => {
  network = new TestNetwork();
  source = new ScriptedSource();
  source.write({ $case: 'clusterId', clusterId: { clusterId: 'cluster' } });
  source.write(broker(1, false), broker(2, false), broker(3, false));
  source.write(...topic('a', 3), ...topic('b', 1));
  lead('a', 0, 1);
  lead('a', 1, 2);
  lead('a', 2, -1);
  lead('b', 0, 2);
  asked = [];
});
afterEach(() => network.close());

function lead(name: string, partition: number, leader: number): void {
  const topicId = source.image.topics.named(name)?.id ?? '';
  const change = { topicId, partition, leader, replicas: { ids: [1, 2] }, isr: { ids: [1] } };
  source.write({ $case: 'partitionChange', partitionChange: change as internal.PartitionChangeRecord });
}

function serve(address: string, brokerId?: number) {
  const replicas: LocalReplicas | undefined =
    brokerId === undefined
      ? undefined
      : {
          brokerId,
          describe: (topics) => topics.flatMap((one) => one.partitions.map((p) => told(brokerId, one.topic, p))),
        };
  const registration = adminForwarder({
    source,
    controller: {} as AdminController,
    connector: network.connector,
    ...(replicas === undefined ? {} : { replicas }),
  });
  network.serve(address, registration);
  return network.connector.channel(address).client(v1.AdminServiceDefinition);
}

function told(brokerId: number, name: string, partition: number): v1.DescribeReplicasResult {
  asked.push(`${name}-${partition}@${brokerId}`);
  const leads = source.image.topics.named(name)?.partitions[partition]?.leader === brokerId;
  const error = new BarnabasError('NOT_LEADER_OR_FOLLOWER', 'not here');
  return v1.DescribeReplicasResult.create({
    topic: name,
    partition,
    leader: brokerId,
    logEndOffset: 7,
    ...(leads ? {} : { error: errorToProto(error) }),
  });
}

const short = ({ topic: name, partition, leader, error }: v1.DescribeReplicasResult) =>
  `${name}-${partition} ${error === undefined ? `told by ${leader}` : ErrorCode[error.code]}`;

test.each([
  ['a gateway', 'node:1', undefined],
  ['a broker, for its own', 'broker-1:7701', 1],
])('%s asks each leader once for its partitions', async (_, address, own) => {
  if (own === undefined) serve('broker-1:7701', 1);
  serve('broker-2:7701', 2);
  const { results } = await serve(address, own).describeReplicas({ topics: [] });
  expect(results.map(short)).toEqual(['a-0 told by 1', 'a-1 told by 2', 'a-2 LEADER_NOT_AVAILABLE', 'b-0 told by 2']);
  expect(asked.sort()).toEqual(['a-0@1', 'a-1@2', 'b-0@2']);
  // What the metadata say is told also where nobody leads.
  expect(results[2]).toMatchObject({
    leader: -1,
    replicas: [
      { brokerId: 1, logEndOffset: -1, lag: -1, caughtUpMs: -1, inSync: true },
      { brokerId: 2, logEndOffset: -1, lag: -1, caughtUpMs: -1, inSync: false },
    ],
  });
});

test('each partition has its own failure', async () => {
  serve('broker-2:7701', 2);
  const topics = [
    { topic: 'a', partitions: [1, 0, 9, 1] },
    { topic: 'none', partitions: [] },
    { topic: '/', partitions: [4] },
  ];
  const { results } = await serve('node:1').describeReplicas({ topics });
  expect(results.map(short)).toEqual([
    '/-4 INVALID_TOPIC_EXCEPTION',
    // Nobody listens where broker 1 is.
    'a-0 NETWORK_EXCEPTION',
    'a-1 told by 2',
    'a-9 UNKNOWN_TOPIC_OR_PARTITION',
    'none--1 UNKNOWN_TOPIC_OR_PARTITION',
  ]);
});

test('a leader that has just changed is not asked by way of another', async () => {
  // This node still takes 1 for the leader; broker 1 knows better, and sends nobody on.
  serve('broker-2:7701', 2);
  const brokerOne = serve('broker-1:7701', 1);
  const headers = { 'barnabas-forwarded': '1' };
  const { results } = await brokerOne.describeReplicas({ topics: [{ topic: 'b', partitions: [] }] }, { headers });
  expect([results.map(short), asked]).toEqual([['b-0 NOT_LEADER_OR_FOLLOWER'], ['b-0@1']]);
});

test('what a leader leaves out is an error, not nothing', async () => {
  serve('broker-1:7701', 1);
  const silent = adminForwarder({
    source,
    controller: {} as AdminController,
    connector: network.connector,
    replicas: { brokerId: 2, describe: () => [] },
  });
  network.serve('broker-2:7701', silent);
  const { results } = await serve('node:1').describeReplicas({ topics: [{ topic: 'b', partitions: [0] }] });
  expect(results.map(short)).toEqual(['b-0 UNKNOWN_SERVER_ERROR']);
});

test('too many topics, and a node without metadata', async () => {
  const client = serve('node:1');
  const topics = Array.from({ length: 10_001 }, () => ({ topic: 'a', partitions: [] }));
  await expect(client.describeReplicas({ topics })).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
  source.image = new ScriptedSource().image;
  await expect(client.describeReplicas({ topics: [] })).rejects.toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
});
