/** The controller's core alone, with time moved by hand: each decision is replayed at once. For tests. */
import { SeededRandom } from '@barnabas/common';
import { announcedFeatures, randomUuid } from '@barnabas/metadata';
import type { BrokerImage, MetadataImage, PartitionImage } from '@barnabas/metadata';
import { internal, v1 } from '@barnabas/protocol';
import {
  BrokerSessions,
  ClusterControl,
  Timeline,
  TopicControl,
  alterPartitions,
  bootstrapCluster,
  reportOffline,
} from '../core/index.js';
import type { ControllerSettings, Decision } from '../core/index.js';
import { controllerConfig, settingsOf } from '../config.js';

export const SESSION_TIMEOUT_MS = 100;

export class CoreCluster {
  readonly timeline = new Timeline();
  readonly sessions = new BrokerSessions(SESSION_TIMEOUT_MS);
  readonly settings: ControllerSettings;
  readonly cluster: ClusterControl;
  readonly topics: TopicControl;
  now = 0;
  readonly #incarnations = new SeededRandom(2);

  constructor(settings: Partial<ControllerSettings> = {}) {
    const config = controllerConfig.parse({ 'node.id': 1, 'metadata.log.dir': 'metadata' });
    this.settings = { ...settingsOf(config), sessionTimeoutMs: SESSION_TIMEOUT_MS, ...settings };
    this.cluster = new ClusterControl(this.settings, this.sessions);
    this.topics = new TopicControl(this.settings, new SeededRandom(1));
    this.run(bootstrapCluster(this.image, 'cluster'));
  }

  get image(): MetadataImage {
    return this.timeline.committed;
  }

  /** Commits a decision and gives its answer. */
  run<R>({ units, response }: Decision<R>): R {
    for (const unit of units) {
      this.timeline.stage(unit, 1);
      this.timeline.commitStaged();
    }
    return response;
  }

  /** Adds records as they are. */
  write(...records: internal.MetadataRecord[]): void {
    this.timeline.stage(records, 1);
    this.timeline.commitStaged();
  }

  registration(brokerId: number, change: Partial<internal.RegisterBrokerRequest> = {}): internal.RegisterBrokerRequest {
    const incarnationId = randomUuid(this.#incarnations);
    const endpoints = [{ name: 'CLIENT', host: `host-${brokerId}`, port: 7700 }];
    const features = announcedFeatures();
    const says = { clusterId: '', endpoints, rack: '', previousBrokerEpoch: -1, features, flushIntervalMessages: 1 };
    return { brokerId, incarnationId, ...says, ...change };
  }

  register(request: internal.RegisterBrokerRequest): internal.RegisterBrokerResponse {
    const response = this.run(this.cluster.register(this.image, request, this.now));
    this.sessions.heard({ id: request.brokerId, epoch: response.brokerEpoch }, 0, this.now);
    return response;
  }

  /** A heartbeat of the broker's present registration, which has applied everything. */
  heartbeat(brokerId: number, change: Partial<internal.BrokerHeartbeatRequest> = {}): internal.BrokerHeartbeatResponse {
    const brokerEpoch = this.image.brokers.get(brokerId)?.epoch ?? -1;
    const metadataOffset = this.image.offset;
    const request = { brokerId, brokerEpoch, metadataOffset, wantFence: false, wantShutDown: false, ...change };
    const broker = this.cluster.registered(this.image, request.brokerId, request.brokerEpoch);
    this.sessions.heard(broker, request.metadataOffset, this.now);
    if (request.wantShutDown && broker.inControlledShutdown) {
      this.sessions.shutsDownAt(broker, this.image.offset, this.now);
    }
    return this.run(this.cluster.heartbeat(this.image, request, this.now));
  }

  /** Registers a broker and lets it serve. */
  join(brokerId: number, change: Partial<internal.RegisterBrokerRequest> = {}): void {
    this.register(this.registration(brokerId, change));
    this.heartbeat(brokerId);
  }

  expire(): readonly number[] {
    return this.run(this.cluster.expireSessions(this.image, this.now));
  }

  createTopic(name: string, change: Partial<v1.NewTopic> = {}): v1.CreateTopicsResult {
    const topics = [v1.NewTopic.create({ name, ...change })];
    const request = v1.CreateTopicsRequest.create({ topics });
    const [result] = this.run(this.topics.createTopics(this.image, request));
    if (result === undefined) throw new Error('a result for each topic');
    return result;
  }

  /** A topic with these replicas, all in sync. */
  writeTopic(name: string, ...replicaLists: readonly (readonly number[])[]): void {
    const topicId = `id of ${name}`;
    const records = replicaLists.map((list, partition): internal.MetadataRecord => {
      const [replicas, isr, leader] = [[...list], [...list], list[0] ?? -1];
      const record = internal.PartitionRecord.create({ topicId, partition, replicas, isr, leader });
      return { record: { $case: 'partition', partition: record } };
    });
    this.write({ record: { $case: 'topic', topic: { name, topicId } } }, ...records);
  }

  /** The leader of a partition asks for an ISR, on what the partition is now. */
  alterPartition(
    topic: string,
    partition: number,
    isr: readonly number[],
    change: Partial<internal.AlterPartitionEntry> = {},
    sender = this.partition(topic, partition).leader,
  ): internal.AlterPartitionResult {
    const { leaderEpoch, partitionEpoch } = this.partition(topic, partition);
    const topicId = this.image.topics.named(topic)?.id ?? '';
    const members = isr.map((id) => ({ brokerId: id, brokerEpoch: this.image.brokers.get(id)?.epoch ?? -1 }));
    const entry = { topicId, partition, leaderEpoch, partitionEpoch, isr: members, ...change };
    const [result] = this.run(alterPartitions(this.image, this.broker(sender), [entry], this.settings.defaults));
    if (result === undefined) throw new Error('a result for each partition');
    return result;
  }

  /** A broker cannot use its replica of a partition. */
  reportOffline(
    brokerId: number,
    topic: string,
    partition = 0,
    leaderEpoch = this.partition(topic, partition).leaderEpoch,
  ): void {
    const topicId = this.image.topics.named(topic)?.id ?? '';
    const replicas = [{ topicId, partition, leaderEpoch }];
    this.run(reportOffline(this.image, this.broker(brokerId), replicas, this.settings.defaults));
  }

  broker(id: number): BrokerImage {
    const broker = this.image.brokers.get(id);
    if (broker === undefined) throw new Error(`no broker ${id}`);
    return broker;
  }

  partition(topic: string, partition: number): PartitionImage {
    const state = this.image.topics.named(topic)?.partitions[partition];
    if (state === undefined) throw new Error(`no partition ${topic}-${partition}`);
    return state;
  }

  /** A partition in one line: who leads at which epoch, who is in sync, and what else there is. */
  show(topic: string, partition = 0): string {
    const { leader, leaderEpoch, isr, eligibleLeaderReplicas, offlineReplicas } = this.partition(topic, partition);
    const more = [
      ...(eligibleLeaderReplicas.length === 0 ? [] : [`elr ${eligibleLeaderReplicas.join(',')}`]),
      ...(offlineReplicas.length === 0 ? [] : [`offline ${offlineReplicas.join(',')}`]),
    ];
    return [`leader ${leader} at ${leaderEpoch}, isr ${isr.join(',')}`, ...more].join(', ');
  }
}
