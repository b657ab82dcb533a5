/**
 * A controller as a gateway sees it, without Raft: a metadata log in memory that tests write, followed
 * by any number of streams. For this service's own tests.
 */
import { errorToProto, BarnabasError, internal, v1 } from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import type { MessageStream, ServiceRegistration } from '@barnabas/rpc';

export const CLUSTER_ID = 'test-cluster-000000000';

type Follower = MessageStream<never, internal.FollowMetadataResponse>;
type Fact = NonNullable<internal.MetadataRecord['record']>;

export class FakeController {
  readonly #records: internal.MetadataRecord[] = [];
  readonly #followers = new Set<Follower>();
  readonly #topicIds = new Map<string, string>();
  #topicsMade = 0;
  /** How automatic creation is done; absent: it is refused. */
  autoCreate: ((name: string) => void) | undefined;
  /** Until when the answer to automatic creation is held back; the log shows the topic at once. */
  autoCreateAnswer: Promise<void> | undefined;
  /** Requests of the admin API that were passed on to here. */
  readonly adminRequests: string[] = [];

  constructor() {
    this.write({ $case: 'clusterId', clusterId: { clusterId: CLUSTER_ID } });
  }

  readonly services: readonly ServiceRegistration[] = [
    service(internal.ControllerServiceDefinition, {
      ...refuseAll(internal.ControllerServiceDefinition),
      describeQuorum: async () =>
        internal.DescribeQuorumResponse.create({ clusterId: CLUSTER_ID, leaderId: 1, term: 1 }),
      followMetadata: ({ fromOffset }, stream) => {
        this.#followers.add(stream);
        stream.handle({ onMessage() {}, onClose: () => this.#followers.delete(stream) });
        stream.write(this.#from(fromOffset));
      },
      autoCreateTopics: async ({ names }) => {
        for (const name of names) this.autoCreate?.(name);
        await this.autoCreateAnswer;
        const results = names.map((name) => ({
          name,
          topicId: this.#topicIds.get(name) ?? '',
          partitions: 0,
          replicationFactor: 0,
          error: this.#topicIds.has(name) ? undefined : errorToProto(noAutoCreation(name)),
        }));
        return { results, metadataOffset: this.#records.length };
      },
    }),
    service(v1.AdminServiceDefinition, {
      ...refuseAll(v1.AdminServiceDefinition),
      createTopics: async ({ topics }) => {
        this.adminRequests.push(...topics.map(({ name }) => `create ${name}`));
        return { results: [], metadataOffset: this.#records.length };
      },
    }),
  ];

  registerBroker(id: number, host: string, port: number): void {
    const endpoints = [{ name: 'CLIENT', host, port }];
    const brokerEpoch = this.#records.length;
    this.write({
      $case: 'registerBroker',
      registerBroker: internal.RegisterBrokerRecord.create({
        brokerId: id,
        incarnationId: `${id}`,
        brokerEpoch,
        endpoints,
      }),
    });
  }

  /** A topic with a partition for each leader. */
  createTopic(name: string, leaders: readonly number[]): void {
    this.write(...this.#creation(name, leaders));
  }

  deleteTopic(name: string): void {
    this.write(this.#removal(name));
  }

  /** Deletes and creates in one step of the log. */
  recreateTopic(name: string, leaders: readonly number[]): void {
    this.write(this.#removal(name), ...this.#creation(name, leaders));
  }

  /** -1 for no leader. */
  moveLeader(name: string, partition: number, leader: number): void {
    const topicId = this.#topicIds.get(name) ?? '';
    const replicas = leader < 0 ? undefined : { ids: [leader] };
    this.write({
      $case: 'partitionChange',
      partitionChange: { topicId, partition, leader, isr: replicas, replicas },
    });
  }

  write(...facts: readonly Fact[]): void {
    const baseOffset = this.#records.length;
    this.#records.push(...facts.map((record) => ({ record })));
    for (const follower of this.#followers) follower.write(this.#from(baseOffset));
  }

  #creation(name: string, leaders: readonly number[]): Fact[] {
    this.#topicsMade += 1;
    const topicId = Buffer.from(`topic-id-${String(this.#topicsMade).padStart(7, '0')}`).toString('base64url');
    this.#topicIds.set(name, topicId);
    const partitions = leaders.map(
      (leader, partition): Fact => ({
        $case: 'partition',
        partition: internal.PartitionRecord.create({ topicId, partition, replicas: [leader], isr: [leader], leader }),
      }),
    );
    return [{ $case: 'topic', topic: { name, topicId } }, ...partitions];
  }

  #removal(name: string): Fact {
    const topicId = this.#topicIds.get(name) ?? '';
    this.#topicIds.delete(name);
    return { $case: 'removeTopic', removeTopic: { topicId } };
  }

  #from(baseOffset: number): internal.FollowMetadataResponse {
    const records = { baseOffset, records: this.#records.slice(baseOffset), endOffset: this.#records.length, term: 1 };
    return { clusterId: CLUSTER_ID, leaderId: 1, voters: [], part: { $case: 'records', records } };
  }
}

function noAutoCreation(name: string): BarnabasError {
  return new BarnabasError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${name} is not created automatically`);
}
