/** A controller whose every decision a test makes: a metadata log in memory, followed over the local network. */
import { MetadataDelta, emptyImage, randomUuid } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import type { Random } from '@barnabas/common';
import { BarnabasError, errorToProto, internal, v1 } from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import type { Handlers, LocalNetwork, ResponseStream } from '@barnabas/rpc';

export const CONTROLLER_ADDRESS = '127.0.0.1:1';
export const CLUSTER_ID = 'test-cluster-000000000';

type Record = NonNullable<internal.MetadataRecord['record']>;
type Follower = ResponseStream<internal.FollowMetadataResponse>;

interface Registration {
  readonly epoch: number;
  fenced: boolean;
}

export class ScriptedController {
  readonly records: internal.MetadataRecord[] = [];
  readonly registrations = new Map<number, Registration>();
  readonly heartbeats: internal.BrokerHeartbeatRequest[] = [];
  readonly registerRequests: internal.RegisterBrokerRequest[] = [];
  /** What the next registrations are refused with. */
  readonly refusals: BarnabasError[] = [];
  /** Heartbeats are answered with this while it is set. */
  heartbeatError: BarnabasError | undefined;
  mayLeave = true;
  /** In-sync sets that brokers have proposed. */
  readonly proposals: internal.AlterPartitionEntry[] = [];
  /** What the next proposals are refused with; undefined: it is done. */
  readonly proposalErrors: (BarnabasError | undefined)[] = [];
  readonly offlineReports: internal.OfflineReplica[] = [];
  producerIdBlocks = 0;
  /** What brokers have asked to be made. */
  readonly internalTopicRequests: internal.CreateInternalTopicRequest[] = [];
  /** What the next of them are refused with. */
  readonly internalTopicErrors: BarnabasError[] = [];
  readonly #followers = new Set<Follower>();

  constructor(
    private readonly network: LocalNetwork,
    private readonly random: Random,
  ) {
    this.append({ $case: 'clusterId', clusterId: { clusterId: CLUSTER_ID } });
    network.register(CONTROLLER_ADDRESS, [
      service(internal.ControllerServiceDefinition, this.#handlers()),
      service(v1.AdminServiceDefinition, refuseAll(v1.AdminServiceDefinition)),
    ]);
  }

  stop(): void {
    this.network.unregister(CONTROLLER_ADDRESS);
  }

  /** Commits records: every follower hears of them. */
  append(...records: Record[]): void {
    const baseOffset = this.records.length;
    const added = records.map((record) => ({ record }));
    this.records.push(...added);
    for (const follower of this.#followers) follower.write(this.#batch(baseOffset, added));
  }

  createTopic(name: string, partitions: readonly { leader: number; replicas?: number[]; isr?: number[] }[]): string {
    const topicId = randomUuid(this.random);
    this.append(
      { $case: 'topic', topic: { name, topicId } },
      ...partitions.map(
        ({ leader, replicas = [leader], isr = [leader] }, partition): Record => ({
          $case: 'partition',
          partition: internal.PartitionRecord.create({ topicId, partition, replicas, isr, leader }),
        }),
      ),
    );
    return topicId;
  }

  deleteTopic(topicId: string): void {
    this.append({ $case: 'removeTopic', removeTopic: { topicId } });
  }

  setConfig(topic: string, key: string, value: string): void {
    const resourceType = internal.ConfigRecordResourceType.TOPIC;
    this.append({ $case: 'config', config: { resourceType, resourceName: topic, key, value } });
  }

  /** `broker` is an id, or empty for all. */
  setBrokerConfig(broker: string, key: string, value: string): void {
    const resourceType = internal.ConfigRecordResourceType.BROKER;
    this.append({ $case: 'config', config: { resourceType, resourceName: broker, key, value } });
  }

  changePartition(topicId: string, partition: number, change: { leader?: number; isr?: number[] }): void {
    const { leader, isr } = change;
    const partitionChange = {
      topicId,
      partition,
      leader,
      isr: isr === undefined ? undefined : { ids: isr },
      replicas: undefined,
    };
    this.append({ $case: 'partitionChange', partitionChange });
  }

  #handlers(): Handlers<typeof internal.ControllerServiceDefinition> {
    return {
      ...refuseAll(internal.ControllerServiceDefinition),
      registerBroker: async (request) => {
        this.registerRequests.push(request);
        const refusal = this.refusals.shift();
        if (refusal !== undefined) throw refusal;
        return this.#register(request);
      },
      brokerHeartbeat: async (request) => this.#heartbeat(request),
      followMetadata: (request, stream) => this.#follow(request, stream),
      allocateProducerIds: async () => ({ firstProducerId: this.producerIdBlocks++ * 2, count: 2 }),
      alterPartition: async ({ partitions }) => ({ results: partitions.map((entry) => this.#alter(entry)) }),
      reportOfflineReplicas: async ({ replicas }) => {
        this.offlineReports.push(...replicas);
        return { metadataOffset: this.records.length };
      },
      autoCreateTopics: async () => ({ results: [], metadataOffset: this.records.length }),
      createInternalTopic: async (request) => this.#createInternalTopic(request),
      describeQuorum: async () =>
        internal.DescribeQuorumResponse.create({ clusterId: CLUSTER_ID, leaderId: 1, term: 1 }),
    };
  }

  /** Does what a leader asks, unless the test has said otherwise. */
  #alter(entry: internal.AlterPartitionEntry): internal.AlterPartitionResult {
    this.proposals.push(entry);
    const error = this.proposalErrors.shift();
    const { topicId, partition, isr } = entry;
    if (error === undefined) this.changePartition(topicId, partition, { isr: isr.map(({ brokerId }) => brokerId) });
    const now = this.image().topics.partition(topicId, partition);
    return internal.AlterPartitionResult.create({
      ...{ topicId, partition, error: error === undefined ? undefined : errorToProto(error) },
      ...{ leader: now?.leader ?? -1, leaderEpoch: now?.leaderEpoch ?? -1, isr: [...(now?.isr ?? [])] },
      ...{ partitionEpoch: now?.partitionEpoch ?? -1, eligibleLeaderReplicas: [] },
    });
  }

  /** Led by broker 1, in one replica. */
  #createInternalTopic(request: internal.CreateInternalTopicRequest): internal.CreateInternalTopicResponse {
    this.internalTopicRequests.push(request);
    const { name, partitions, configs } = request;
    const error = this.internalTopicErrors.shift();
    const exists = this.image().topics.named(name) !== undefined;
    if (!exists && error === undefined) {
      this.createTopic(
        name,
        Array.from({ length: partitions }, () => ({ leader: 1 })),
      );
      for (const [key, value] of Object.entries(configs)) this.setConfig(name, key, value);
    }
    const result = { name, topicId: '', partitions, replicationFactor: 1, error: error && errorToProto(error) };
    return { result, metadataOffset: this.records.length, created: !exists && error === undefined };
  }

  /** What the log says. */
  image(): MetadataImage {
    const delta = new MetadataDelta(emptyImage);
    for (const record of this.records) delta.replay(record);
    return delta.apply({ offset: this.records.length, term: 1 });
  }

  #register({ brokerId, incarnationId, endpoints, rack }: internal.RegisterBrokerRequest) {
    const brokerEpoch = this.records.length;
    this.registrations.set(brokerId, { epoch: brokerEpoch, fenced: true });
    this.append({
      $case: 'registerBroker',
      registerBroker: internal.RegisterBrokerRecord.create({
        ...{ brokerId, incarnationId, brokerEpoch, endpoints, rack },
        fenced: true,
      }),
    });
    return { brokerEpoch, clusterId: CLUSTER_ID };
  }

  #heartbeat(request: internal.BrokerHeartbeatRequest): internal.BrokerHeartbeatResponse {
    this.heartbeats.push(request);
    if (this.heartbeatError !== undefined) throw this.heartbeatError;
    const { brokerId, brokerEpoch } = request;
    const registration = this.registrations.get(brokerId);
    if (registration?.epoch !== brokerEpoch) throw new BarnabasError('STALE_BROKER_EPOCH', 'register again');
    const caughtUp = request.metadataOffset > brokerEpoch;
    if (registration.fenced && caughtUp && !request.wantFence) {
      registration.fenced = false;
      const change = { brokerId, brokerEpoch, fenced: false, inControlledShutdown: undefined };
      this.append({ $case: 'brokerRegistrationChange', brokerRegistrationChange: change });
    }
    const shouldShutDown = request.wantShutDown && this.mayLeave;
    return { caughtUp, fenced: registration.fenced, shouldShutDown };
  }

  #follow({ fromOffset }: internal.FollowMetadataRequest, stream: Follower): void {
    this.#followers.add(stream);
    stream.handle({ onMessage() {}, onClose: () => this.#followers.delete(stream) });
    stream.write(this.#batch(fromOffset, this.records.slice(fromOffset)));
  }

  #batch(baseOffset: number, records: internal.MetadataRecord[]): internal.FollowMetadataResponse {
    const endOffset = baseOffset + records.length;
    return {
      clusterId: CLUSTER_ID,
      leaderId: 1,
      voters: [],
      part: { $case: 'records', records: { baseOffset, records, endOffset, term: 1 } },
    };
  }
}
