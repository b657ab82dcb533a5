/**
 * A cluster in memory, in the test's own process: partitions, leaders that move, brokers that stop and
 * come back, a gateway; and every request can be intercepted. Serves the real services over the local
 * network of @barnabas/rpc, so that whatever talks to a cluster can be tested against it.
 *
 * One copy of each partition: what is appended is readable and survives its broker. The rules about
 * sequences, sizes and leadership are those of a real broker.
 */
import { assert, present } from '@barnabas/common';
import type { Timers } from '@barnabas/common';
import { BarnabasError, CONSUMER_OFFSETS_TOPIC, v1 } from '@barnabas/protocol';
import type { StoredRecord } from '@barnabas/protocol';
import { createConnector, LocalNetwork } from '@barnabas/rpc';
import type { Connector, ServiceRegistration } from '@barnabas/rpc';
import { Listeners } from '../cluster/listeners.js';
import { fakeAdminService } from './fake-admin-service.js';
import { FakeGroups } from './fake-group-service.js';
import { fakeLogService } from './fake-log-service.js';
import { fakeMetadataService } from './fake-metadata-service.js';
import type { FakeMetadata } from './fake-metadata-service.js';
import { FakeNode, lost } from './fake-node.js';
import { FakePartition } from './fake-partition.js';
import { FakeQuorum } from './fake-quorum.js';
import { FakeReplicaSets } from './fake-replica-sets.js';
import type { Interception, Interceptor } from './interception.js';

export interface FakeClusterOptions {
  /** Brokers, with ids from 1. Default 1. */
  readonly brokers?: number;
  /** Topics that exist from the start, with their partition counts. */
  readonly topics?: Readonly<Record<string, number>>;
  /** auto.create.topics.enable. Default false. */
  readonly autoCreateTopics?: boolean;
  /** message.max.bytes. Default 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Brokers that do not lead say who does. Default true. */
  readonly namesLeaders?: boolean;
  /** Of topics created by themselves. Default 1. */
  readonly defaultPartitions?: number;
  /** Lets heartbeats of groups be held until there is news. Without it they are answered at once. */
  readonly timers?: Timers;
}

/** Partitions of __consumer_offsets, once somebody has asked for a coordinator. */
const OFFSETS_PARTITIONS = 4;

interface FakeTopic {
  readonly id: string;
  readonly partitions: FakePartition[];
  readonly configs: Map<string, string>;
}

/** Node id of the gateway. */
export const GATEWAY_ID = 0;
const GATEWAY_ADDRESS = 'gateway.fake:7600';
const BROKER_PORT = 7700;

export class FakeCluster {
  readonly clusterId = 'fake-cluster';
  /** Who holds which partition. */
  readonly replicas: FakeReplicaSets;
  /** The controllers, and features. */
  readonly quorum = new FakeQuorum();
  /** Groups, their members, and what they have committed. */
  readonly groups: FakeGroups;
  readonly network = new LocalNetwork();
  /** Reaches the cluster's addresses. Closed by `close`. */
  readonly connector: Connector;
  readonly gatewayAddress = GATEWAY_ADDRESS;
  readonly #options: FakeClusterOptions;
  readonly #nodes = new Map<number, FakeNode>();
  readonly #stopped = new Set<number>();
  readonly #unregistered = new Set<number>();
  readonly #topics = new Map<string, FakeTopic>();
  readonly #brokerConfigs = new Map<string, Map<string, string>>();
  readonly #interceptors = new Set<Interceptor>();
  readonly #metadataChanged = new Listeners();
  readonly #leadershipChanged = new Listeners();
  #metadataOffset = 1;
  #frozen: FakeMetadata | undefined;
  #producerIds = 1000;
  #topicIds = 1;

  constructor(options: FakeClusterOptions = {}) {
    this.#options = options;
    this.connector = createConnector({ local: this.network });
    this.replicas = new FakeReplicaSets({
      partitions: () => [...this.#topics.values()].flatMap(({ partitions }) => partitions),
      brokers: () => this.#brokers().map(({ nodeId }) => nodeId),
      isRunning: (brokerId) => this.#nodes.has(brokerId) && !this.#stopped.has(brokerId),
      changed: (leadersToo) => {
        this.#changed();
        if (leadersToo) this.#leadershipChanged.call();
      },
    });
    this.groups = new FakeGroups({
      topics: () => this.#groupPartitions(),
      offsetsPartitions: (create) => this.#offsetsPartitions(create),
      checkLeads: (node, partition) => void this.#find(node, CONSUMER_OFFSETS_TOPIC, partition),
      leaderOf: (partition) => {
        const { leader } = this.partition(CONSUMER_OFFSETS_TOPIC, partition);
        return { id: leader, address: this.#node(leader).address };
      },
      timers: options.timers,
    });
    this.#addNode(GATEWAY_ID, GATEWAY_ADDRESS, true);
    for (let id = 1; id <= (options.brokers ?? 1); id++) this.#addNode(id, brokerAddress(id), false);
    for (const [name, partitions] of Object.entries(options.topics ?? {})) this.createTopic(name, partitions);
  }

  /** Addresses of all brokers. */
  get bootstrap(): readonly string[] {
    return this.#brokers().map(({ address }) => address);
  }

  close(): void {
    this.connector.close();
    for (const { address } of this.#nodes.values()) this.network.unregister(address);
  }

  // ---- what there is

  createTopic(name: string, partitions = 1): void {
    this.#createTopic(name, this.#placement(partitions, 1), false);
  }

  deleteTopic(name: string): void {
    this.#deleteTopic(name);
  }

  addPartitions(name: string, totalCount: number): void {
    const topic = this.#topic(name);
    for (let index = topic.partitions.length; index < totalCount; index++)
      topic.partitions.push(this.#place(name, index, [this.#brokerAt(index)]));
    this.#changed();
  }

  partition(topic: string, partition: number): FakePartition {
    return present(this.#topic(topic).partitions[partition], 'the partition', { topic, partition });
  }

  partitionCount(topic: string): number {
    return this.#topic(topic).partitions.length;
  }

  /** What the partition holds, decoded. */
  records(topic: string, partition = 0): readonly StoredRecord[] {
    return this.partition(topic, partition).records();
  }

  // ---- what happens to it

  moveLeader(topic: string, partition: number, brokerId: number): void {
    const moved = this.partition(topic, partition);
    moved.leader = brokerId;
    moved.leaderEpoch++;
    this.#changed();
    this.#leadershipChanged.call();
  }

  /** Its connections break and new ones are refused. It keeps its leaderships, and comes back with `startBroker`. */
  stopBroker(brokerId: number): void {
    this.#setReachable(brokerId, false);
    this.#stopped.add(brokerId);
    this.#changed();
  }

  startBroker(brokerId: number): void {
    this.#stopped.delete(brokerId);
    this.#setReachable(brokerId, true);
    this.#changed();
  }

  /** The node runs, and is served by the gateway, but clients do not reach its address. */
  setReachable(nodeId: number, isReachable: boolean): void {
    this.#setReachable(nodeId, isReachable);
  }

  /** Breaks the node's streams; they can be opened anew at once. */
  disconnect(nodeId: number): void {
    this.#node(nodeId).disconnect();
  }

  /** Until `thawMetadata` nodes say what they know now: leaders move unheard. */
  freezeMetadata(): void {
    this.#frozen = this.#metadata();
  }

  thawMetadata(): void {
    this.#frozen = undefined;
    this.#metadataChanged.call();
  }

  /** Sees every request from now on; of those that want to do something the one added last prevails. Returns what ends it. */
  intercept(interceptor: Interceptor): () => void {
    this.#interceptors.add(interceptor);
    return () => this.#interceptors.delete(interceptor);
  }

  // ---- nodes

  #addNode(id: number, address: string, isGateway: boolean): void {
    const node = new FakeNode(id, address, isGateway, (...request) => this.#intercept(...request));
    this.#nodes.set(id, node);
    this.network.register(address, this.#services(node));
  }

  #services(node: FakeNode): ServiceRegistration[] {
    return [
      fakeLogService(node, {
        find: (asked, topic, partition) => this.#find(asked, topic, partition),
        findReadable: (asked, topic, partition, rack) => this.#findReadable(asked, topic, partition, rack),
        onLeadership: (listener) => this.#leadershipChanged.add(listener),
        nextProducerId: () => this.#producerIds++,
      }),
      fakeMetadataService(node, {
        current: () => this.#frozen ?? this.#metadata(),
        onChange: (listener) => this.#metadataChanged.add(listener),
        autoCreate: (topic) => this.#autoCreate(topic),
      }),
      this.groups.service(node),
      fakeAdminService(node, {
        createTopic: (name, replicaSets, validateOnly) => this.#createTopic(name, replicaSets, validateOnly),
        place: (partitions, replicationFactor) => this.#placement(partitions, replicationFactor),
        deleteTopic: (name) => this.#deleteTopic(name),
        addPartitions: (name, totalCount, validateOnly) => this.#raise(name, totalCount, validateOnly),
        configs: (resource) => this.#configs(resource),
        metadataOffset: () => this.#metadataOffset,
        clusterId: this.clusterId,
        replicas: this.replicas,
        quorum: this.quorum,
        unregister: (brokerId) => {
          this.#unregistered.add(brokerId);
          this.#changed();
        },
      }),
    ];
  }

  #setReachable(nodeId: number, isReachable: boolean): void {
    const node = this.#node(nodeId);
    node.disconnect();
    this.network.unregister(node.address);
    const refuse = {
      admit: () => {
        throw lost();
      },
    };
    this.network.register(node.address, this.#services(node), isReachable ? {} : { interceptors: [refuse] });
  }

  #node(id: number): FakeNode {
    return present(this.#nodes.get(id), 'the node', { id });
  }

  #brokers(): readonly FakeNode[] {
    return [...this.#nodes.values()].filter(({ nodeId, isGateway }) => !isGateway && !this.#unregistered.has(nodeId));
  }

  #intercept(nodeId: number, method: string, message: unknown): Interception | undefined {
    const actions = [...this.#interceptors].map((interceptor) => interceptor({ nodeId, method, message }));
    return actions.findLast((action) => action !== undefined);
  }

  // ---- topics

  #find(node: FakeNode, topic: string, partition: number): FakePartition {
    const found = this.#topics.get(topic)?.partitions[partition];
    if (found === undefined) throw new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `no ${topic}-${partition} here`);
    if (node.isGateway || found.leader === node.nodeId) return found;
    const { leader, leaderEpoch } = found;
    const facts = this.#options.namesLeaders === false ? {} : { leader, leaderEpoch };
    throw new BarnabasError(
      'NOT_LEADER_OR_FOLLOWER',
      `broker ${node.nodeId} does not lead ${topic}-${partition}`,
      facts,
    );
  }

  #findReadable(node: FakeNode, topic: string, partition: number, rack = ''): FakePartition {
    const found = this.#topics.get(topic)?.partitions[partition];
    return found?.readers.get(rack) === node.nodeId ? found : this.#find(node, topic, partition);
  }

  #topic(name: string): FakeTopic {
    const topic = this.#topics.get(name);
    if (topic === undefined) throw new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${name} does not exist`);
    return topic;
  }

  #createTopic(name: string, replicaSets: readonly (readonly number[])[], validateOnly: boolean): string {
    if (this.#topics.has(name)) throw new BarnabasError('TOPIC_ALREADY_EXISTS', `topic ${name} exists`);
    if (!/^[A-Za-z0-9._-]{1,249}$/.test(name))
      throw new BarnabasError('INVALID_TOPIC_EXCEPTION', `illegal name ${name}`);
    if (replicaSets.length < 1) throw new BarnabasError('INVALID_PARTITIONS', 'a topic has at least one partition');
    if (validateOnly) return '';
    const id = `topic-id-${this.#topicIds++}`;
    const partitions = replicaSets.map((replicas, index) => this.#place(name, index, replicas));
    this.#topics.set(name, { id, partitions, configs: new Map() });
    this.#changed();
    return id;
  }

  #groupPartitions() {
    return [...this.#topics].flatMap(([topic, { id: topicId, partitions }]) =>
      topic === CONSUMER_OFFSETS_TOPIC ? [] : partitions.map(({ partition }) => ({ topic, topicId, partition })),
    );
  }

  #offsetsPartitions(create: boolean): number {
    const known = this.#topics.get(CONSUMER_OFFSETS_TOPIC)?.partitions.length ?? 0;
    if (known > 0 || !create) return known;
    this.createTopic(CONSUMER_OFFSETS_TOPIC, OFFSETS_PARTITIONS);
    return OFFSETS_PARTITIONS;
  }

  #deleteTopic(name: string): string {
    const { id } = this.#topic(name);
    this.#topics.delete(name);
    this.#changed();
    this.#leadershipChanged.call();
    return id;
  }

  #raise(name: string, totalCount: number, validateOnly: boolean): void {
    if (totalCount <= this.#topic(name).partitions.length) {
      throw new BarnabasError('INVALID_PARTITIONS', 'a partition count only grows');
    }
    if (!validateOnly) this.addPartitions(name, totalCount);
  }

  #autoCreate(name: string): void {
    if (this.#options.autoCreateTopics !== true || this.#topics.has(name)) return;
    this.#createTopic(name, this.#placement(this.#options.defaultPartitions ?? 1, 1), false);
  }

  #place(topic: string, partition: number, replicas: readonly number[]): FakePartition {
    const leader = present(replicas[0], 'a leader');
    const maxMessageBytes = this.#options.maxMessageBytes ?? 1_048_576;
    const placed = new FakePartition(topic, partition, leader, { maxMessageBytes });
    this.replicas.set(placed, replicas);
    return placed;
  }

  /** Round the brokers, one further with each partition. */
  #placement(partitions: number, replicationFactor: number): readonly (readonly number[])[] {
    const count = this.#brokers().length;
    if (replicationFactor > count) {
      throw new BarnabasError('INVALID_REPLICATION_FACTOR', `there are ${count} brokers`);
    }
    const places = Array.from({ length: replicationFactor }, (_, place) => place);
    return Array.from({ length: partitions }, (_, index) => places.map((place) => this.#brokerAt(index + place)));
  }

  #brokerAt(index: number): number {
    const brokers = this.#brokers();
    return present(brokers[index % brokers.length], 'a broker').nodeId;
  }

  #configs({ type, name }: v1.ConfigResource): Map<string, string> {
    if (type === v1.ConfigResourceType.TOPIC) return this.#topic(name).configs;
    const known = this.#brokerConfigs.get(name) ?? new Map<string, string>();
    this.#brokerConfigs.set(name, known);
    return known;
  }

  // ---- metadata

  #changed(): void {
    assert(this.#metadataOffset < Number.MAX_SAFE_INTEGER, 'there are offsets left');
    this.#metadataOffset++;
    this.groups.nudge();
    if (this.#frozen === undefined) this.#metadataChanged.call();
  }

  #metadata(): FakeMetadata {
    return {
      clusterId: this.clusterId,
      metadataOffset: this.#metadataOffset,
      controllerId: this.quorum.leaderId,
      controllers: this.quorum.voters.map(({ id, host, port }) => ({ id, host, port })),
      brokers: this.#brokers().map(({ nodeId, address }) => ({
        ...toBroker(nodeId, address, this.#stopped.has(nodeId)),
        decommissioning: this.replicas.decommissioning.has(nodeId),
      })),
      topics: [...this.#topics].map(([name, topic]) => toTopic(name, topic, this.replicas)),
    };
  }
}

function brokerAddress(id: number): string {
  return `broker-${id}.fake:${BROKER_PORT}`;
}

function toBroker(id: number, address: string, fenced: boolean): v1.Broker {
  const [host = '', port = ''] = address.split(':');
  return v1.Broker.create({ id, host, port: Number(port), fenced });
}

function toTopic(name: string, { id, partitions }: FakeTopic, sets: FakeReplicaSets): v1.Topic {
  return {
    name,
    topicId: id,
    internal: name.startsWith('__'),
    partitions: partitions.map((one) => {
      const { partition, leader, leaderEpoch } = one;
      const { replicas, isr, eligibleLeaderReplicas } = sets.of(one);
      return {
        partition,
        leader,
        leaderEpoch,
        replicas: [...replicas],
        isr: [...isr],
        eligibleLeaderReplicas: [...eligibleLeaderReplicas],
        addingReplicas: [...sets.addingReplicas(one)],
        removingReplicas: [...sets.removingReplicas(one)],
        partitionEpoch: 0,
      };
    }),
    error: undefined,
  };
}
