/** MetadataService and AdminService as a broker and a gateway serve them, over a network in the process. */
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import { configuredBroker } from '../effective-config.js';
import { TestNetwork } from '../test-kit/node.js';
import { ScriptedSource, broker, smallCluster, topic } from '../test-kit/scripted-source.js';
import { dynamicBrokerConfig } from '../topic-config.js';
import { adminForwarder } from './admin-forwarder.js';
import type { AdminController, AdminForwarderOptions } from './admin-forwarder.js';
import { createMetadataService } from './metadata-service.js';

const { ErrorCode, ConfigResourceType, ConfigSource } = v1;
const unused = () => Promise.reject(new BarnabasError('UNSUPPORTED_VERSION', 'not in this test'));
const noController: AdminController = {
  createTopics: unused,
  deleteTopics: unused,
  createPartitions: unused,
  incrementalAlterConfigs: unused,
  alterPartitionReassignments: unused,
  listPartitionReassignments: unused,
  electLeaders: unused,
  decommissionBroker: unused,
  unregisterBroker: unused,
  describeQuorumMembers: unused,
  addVoter: unused,
  removeVoter: unused,
  transferQuorumLeadership: unused,
  describeFeatures: unused,
  updateFeatures: unused,
};
const voters = [{ id: 1, host: 'controller', port: 7800 }];

let network: TestNetwork;
let source: ScriptedSource;

beforeEach(() => {
  network = new TestNetwork();
  source = smallCluster();
});
afterEach(() => network.close());

function metadata(
  autoCreateTopics: (request: internal.AutoCreateTopicsRequest) => Promise<internal.AutoCreateTopicsResponse> = unused,
) {
  const { registration } = createMetadataService({ source, controllers: { voters }, controller: { autoCreateTopics } });
  network.serve('node:1', registration);
  return network.connector.channel('node:1').client(v1.MetadataServiceDefinition);
}

const ask = (change: Partial<v1.GetMetadataRequest>) => v1.GetMetadataRequest.create(change);

describe('metadata', () => {
  test('of everything, of some, of brokers only', async () => {
    const client = metadata();
    const all = await client.getMetadata(ask({}));
    expect(all).toMatchObject({ clusterId: 'cluster', controllerId: 1, metadataOffset: source.image.offset });
    expect(all.topics.map(({ name, partitions }) => [name, partitions.length])).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
    expect(all.brokers.map(({ id, fenced }) => [id, fenced])).toEqual([
      [1, false],
      [2, true],
    ]);

    const some = await client.getMetadata(ask({ topics: ['b', 'nothing', '..', 'b'] }));
    expect(some.topics.map(({ name, error }) => [name, error?.code ?? 0])).toEqual([
      ['b', 0],
      ['nothing', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ['..', ErrorCode.INVALID_TOPIC_EXCEPTION],
    ]);
    expect((await client.getMetadata(ask({ brokersOnly: true, topics: ['b'] }))).topics).toEqual([]);
  });

  test('of the cluster', async () => {
    expect(await metadata().describeCluster({})).toMatchObject({
      clusterId: 'cluster',
      controllerId: 1,
      brokers: [{ id: 1 }, { id: 2 }],
      controllers: voters,
    });
  });

  test('creates what is asked about, and answers when it is here', async () => {
    const asked: string[][] = [];
    const client = metadata(async ({ names }) => {
      asked.push(names);
      const refused = { code: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message: 'not allowed', currentLeader: undefined };
      const result = { topicId: '', partitions: 1, replicationFactor: 1 };
      const results = names.map((name) => ({ ...result, name, error: name === 'no' ? refused : undefined }));
      return { results, metadataOffset: source.image.offset + 2 };
    });
    const answer = client.getMetadata(ask({ topics: ['a', 'new', 'no', '/'], allowAutoTopicCreation: true }));
    let isAnswered = false;
    answer.then(
      () => (isAnswered = true),
      () => {},
    );
    await network.settle();
    expect([asked, isAnswered]).toEqual([[['new', 'no']], false]);
    source.write(...topic('new', 1));
    expect((await answer).topics).toMatchObject([
      { name: 'a', error: undefined },
      { name: 'new', partitions: [{ leader: 1 }], error: undefined },
      { name: 'no', error: { code: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message: 'not allowed' } },
      { name: '/', error: { code: ErrorCode.INVALID_TOPIC_EXCEPTION } },
    ]);
  });

  test('says why nothing could be created', async () => {
    const client = metadata(() => Promise.reject(new BarnabasError('NOT_CONTROLLER', 'nobody leads')));
    const { topics } = await client.getMetadata(ask({ topics: ['a', 'new'], allowAutoTopicCreation: true }));
    expect(topics.map(({ error }) => error?.code ?? 0)).toEqual([0, ErrorCode.NOT_CONTROLLER]);
  });

  test('is refused to those who ask for too much, and by a node that knows nothing yet', async () => {
    const client = metadata();
    const topics = Array.from({ length: 10_001 }, (_, index) => `t${index}`);
    await expect(client.getMetadata(ask({ topics }))).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
    source.image = new ScriptedSource().image;
    const notYet = { errorName: 'BROKER_NOT_AVAILABLE', retriable: true };
    await expect(client.getMetadata(ask({}))).rejects.toMatchObject(notYet);
    await expect(client.describeCluster({})).rejects.toMatchObject(notYet);
    const watch = client.watchMetadata({ topics: [] });
    const closed = new Promise((resolve) => watch.handle({ onMessage() {}, onClose: resolve }));
    expect(await closed).toMatchObject(notYet);
  });
});

function admin(address: string, options: Partial<AdminForwarderOptions> = {}) {
  network.serve(
    address,
    adminForwarder({ source, controller: noController, connector: network.connector, ...options }),
  );
  return network.connector.channel(address).client(v1.AdminServiceDefinition);
}

/** Broker 1, which has been started with some settings. */
function brokerOne() {
  const entries = dynamicBrokerConfig.entries(dynamicBrokerConfig.parse({ 'log.retention.ms': '5' }));
  return admin('broker-1:7701', { broker: configuredBroker(1, entries) });
}

function describing(type: v1.ConfigResourceType, name: string, ...keys: string[]): v1.DescribeConfigsRequest {
  return { resources: [{ type, name }], keys };
}

describe('administration', () => {
  test('a change is answered when this node shows it', async () => {
    const client = admin('node:1', {
      controller: {
        ...noController,
        createTopics: async () => ({ results: [], metadataOffset: source.image.offset + 2 }),
      },
    });
    const answer = client.createTopics(v1.CreateTopicsRequest.create({}));
    let isAnswered = false;
    answer.then(
      () => (isAnswered = true),
      () => {},
    );
    await network.settle();
    expect(isAnswered).toBe(false);
    source.write(...topic('new', 1));
    await answer;
  });

  test("the caller's time is the controller's", async () => {
    const asked: (number | undefined)[] = [];
    const deleteTopics = async (_request: v1.DeleteTopicsRequest, options?: { timeoutMs?: number }) => {
      asked.push(options?.timeoutMs);
      return { results: [], metadataOffset: 0 };
    };
    const client = admin('node:1', { controller: { ...noController, deleteTopics } });
    await client.deleteTopics({ names: [], timeoutMs: 70 });
    await client.deleteTopics({ names: [], timeoutMs: 0 });
    await client.deleteTopics({ names: [], timeoutMs: 90_000 }, { timeoutMs: 100 });
    expect(asked[0]).toBe(70);
    expect(asked[1]).toBeLessThanOrEqual(30_000);
    expect(asked[2]).toBeLessThanOrEqual(100);
  });

  test('a gateway asks a broker that serves for what brokers are started with', async () => {
    brokerOne();
    const gateway = admin('node:1');
    const { results } = await gateway.describeConfigs(describing(ConfigResourceType.TOPIC, 'a', 'retention.ms'));
    expect(results[0]?.entries).toMatchObject([
      { key: 'retention.ms', value: '5', source: ConfigSource.STATIC_BROKER_CONFIG },
    ]);
    const one = await gateway.describeConfigs(describing(ConfigResourceType.BROKER, '1', 'log.retention.ms'));
    expect(one.results[0]?.entries).toMatchObject([{ value: '5', source: ConfigSource.STATIC_BROKER_CONFIG }]);
  });

  test('the default of all brokers is in the metadata log', async () => {
    source.write({
      $case: 'config',
      config: { resourceType: 2, resourceName: '', key: 'log.retention.ms', value: '8' },
    });
    const { results } = await admin('node:1').describeConfigs(
      describing(ConfigResourceType.BROKER, '', 'log.retention.ms'),
    );
    expect(results[0]?.entries).toMatchObject([{ value: '8', source: ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG }]);
  });

  test('what cannot be told is an error of that resource alone', async () => {
    const client = brokerOne();
    const down = () => Promise.reject(new BarnabasError('NETWORK_EXCEPTION', 'down'));
    network.serve(
      'broker-2:7701',
      service(v1.AdminServiceDefinition, { ...refuseAll(v1.AdminServiceDefinition), describeConfigs: down }),
    );
    const kinds = ConfigResourceType;
    const resources = [
      { type: kinds.TOPIC, name: 'a' },
      { type: kinds.TOPIC, name: 'nothing' },
      { type: kinds.TOPIC, name: '/' },
      { type: kinds.BROKER, name: '9' },
      { type: kinds.BROKER, name: 'x' },
      { type: kinds.BROKER, name: '2' },
      { type: kinds.UNSPECIFIED, name: '' },
    ];
    const { results } = await client.describeConfigs({ resources, keys: [] });
    expect(results.map(({ error }) => error?.code ?? 0)).toEqual([
      0,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      ErrorCode.INVALID_TOPIC_EXCEPTION,
      ErrorCode.BROKER_ID_NOT_REGISTERED,
      ErrorCode.BROKER_ID_NOT_REGISTERED,
      ErrorCode.NETWORK_EXCEPTION,
      ErrorCode.INVALID_REQUEST,
    ]);
    expect(results[0]?.entries.map(({ key }) => key)).toEqual(
      expect.arrayContaining(['retention.ms', 'flush.messages']),
    );
  });

  test('two nodes that take each other for a third do not send a call round', async () => {
    source.write(broker(3, false));
    const calls: string[] = [];
    // Whoever is at broker 3's address is another node, which would ask broker 3 again.
    const handlers = adminForwarder({ source, controller: noController, connector: network.connector });
    const { describeConfigs } = handlers.handlers as {
      describeConfigs: (...args: unknown[]) => Promise<v1.DescribeConfigsResponse>;
    };
    const counted = (...args: unknown[]) => {
      calls.push('broker-3');
      return describeConfigs(...args);
    };
    const impostor = service(v1.AdminServiceDefinition, {
      ...refuseAll(v1.AdminServiceDefinition),
      describeConfigs: counted,
    });
    network.serve('broker-3:7701', impostor);
    const { results } = await admin('node:1').describeConfigs(describing(ConfigResourceType.BROKER, '3'));
    expect(results[0]?.error?.code).toBe(ErrorCode.BROKER_NOT_AVAILABLE);
    expect(calls).toEqual(['broker-3']);
  });

  test('too many resources are refused', async () => {
    const resources = Array.from({ length: 10_001 }, () => ({ type: ConfigResourceType.TOPIC, name: 'a' }));
    await expect(admin('node:1').describeConfigs({ resources, keys: [] })).rejects.toMatchObject({
      errorName: 'INVALID_REQUEST',
    });
  });
});

describe('what the controller answers is passed on', () => {
  const request = { timeoutMs: 70 };

  test.each([
    ['alterPartitionReassignments', { partitions: [], forbidReplicationFactorChange: false, ...request }],
    ['electLeaders', { type: v1.ElectionType.PREFERRED, topics: [], ...request }],
    ['decommissionBroker', { brokerId: 1, cancel: false, ...request }],
    ['unregisterBroker', { brokerId: 1, ...request }],
    ['updateFeatures', { updates: [], validateOnly: false, ...request }],
  ] as const)('%s, once this node shows it', async (method, message) => {
    const asked: unknown[] = [];
    const change = async (given: unknown, options?: { timeoutMs?: number }) => {
      asked.push(given, options?.timeoutMs);
      return { results: [], stuck: [], remainingPartitions: 0, metadataOffset: source.image.offset + 2 };
    };
    const client = admin('node:1', { controller: { ...noController, [method]: change } });
    const answer = (client[method] as (given: unknown) => Promise<unknown>)(message);
    let isAnswered = false;
    answer.then(
      () => (isAnswered = true),
      () => {},
    );
    await network.settle();
    expect([asked, isAnswered]).toEqual([[message, 70], false]);
    source.write(...topic('new', 1));
    await answer;
  });

  test.each([
    ['addVoter', 'addVoter', { id: 1, directoryId: '', host: '', port: 0, ...request }, 70],
    ['removeVoter', 'removeVoter', { id: 1, directoryId: '', ...request }, 70],
    ['transferQuorumLeadership', 'transferQuorumLeadership', { to: 2, ...request }, 70],
    ['listPartitionReassignments', 'listPartitionReassignments', { topics: [] }, 30_000],
    ['describeQuorum', 'describeQuorumMembers', {}, 30_000],
    ['describeFeatures', 'describeFeatures', {}, 30_000],
  ] as const)('%s, at once', async (method, port, message, limitMs) => {
    const asked: unknown[] = [];
    const answer = async (given: unknown, options?: { timeoutMs?: number }) => {
      asked.push(given, options?.timeoutMs);
      return {};
    };
    const client = admin('node:1', { controller: { ...noController, [port]: answer } });
    await (client[method] as (given: unknown) => Promise<unknown>)(message);
    expect(asked).toEqual([message, limitMs]);
  });
});
