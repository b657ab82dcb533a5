/** A cluster in its world: machines, network, topics, and what is known of it all from outside. */
import type { ReplicaNode } from '@barnabas/broker/parts';
import { NO_LEADER } from '@barnabas/metadata';
import type { MetadataImage, PartitionImage, TopicImage } from '@barnabas/metadata';
import type { Dice } from '../kernel/dice.js';
import { Stage } from '../kernel/stage.js';
import { ElectableChecks } from './checks/electable.js';
import { ImageChecks } from './checks/images.js';
import { ReplicaChecks } from './checks/replicas.js';
import type { Envelope } from './network/call.js';
import { Network } from './network/network.js';
import { BrokerNode } from './nodes/broker-node.js';
import { ControllerNode } from './nodes/controller-node.js';
import type { RoleNode } from './nodes/role-node.js';
import type { ClusterPlan, Need } from './plan.js';
import type { ClusterPlant } from './plants/plant.js';
import type { Surroundings } from './surroundings.js';
import type { PartitionTruth } from './truth/partition-truth.js';
import { RelaxedTopics } from './truth/relaxed.js';
import type { ShadowBatch } from './truth/replica-log.js';
import { Truth } from './truth/truth.js';

/** Who else looks on. */
export interface Onlooker {
  /** A message arrives, before a planted bug may change it. */
  heard?(envelope: Envelope): void;
  committed?(partition: PartitionTruth, batch: ShadowBatch): void;
}

export class Cluster extends Stage implements Surroundings {
  readonly plan: ClusterPlan;
  readonly network: Network;
  readonly truth: Truth;
  readonly controllers: readonly ControllerNode[];
  readonly brokers: readonly BrokerNode[];
  readonly #replicas: ReplicaChecks;
  readonly #images: ImageChecks;
  readonly #electable: ElectableChecks;
  readonly #relaxed: RelaxedTopics;
  image: MetadataImage | undefined;

  constructor(
    seed: number,
    readonly plant: ClusterPlant,
    planOf: (dice: Dice, needs: readonly Need[]) => ClusterPlan,
    onlooker: Onlooker = {},
  ) {
    super(seed);
    const plan = planOf(this.dice, plant.needs ?? []);
    this.plan = plan;
    this.network = new Network(this, plan.network, (envelope) => {
      this.judge(() => onlooker.heard?.(envelope));
      return plant.heard === undefined ? envelope.message : plant.heard(envelope, this);
    });
    this.#relaxed = new RelaxedTopics((topic) =>
      plan.topics.some(({ name, isRelaxed }) => name === topic && isRelaxed),
    );
    this.truth = new Truth({
      onLoss: () => this.tally.count('losses that are allowed'),
      onCommitted: (partition, batch) => onlooker.committed?.(partition, batch),
      isExcused: (...replica) => this.#relaxed.isExcused(...replica),
      leaderOf: (brokerId, ...at) => this.brokers[brokerId - 1]?.node?.driver.findById(...at)?.leader,
      fail: (violation) => this.fail(violation),
    });
    this.#replicas = new ReplicaChecks(this.truth);
    this.#electable = new ElectableChecks({
      truth: this.truth,
      mayLack: (...replica) => this.#relaxed.mayLack(...replica),
    });
    this.#images = new ImageChecks(
      (topic, partition) => this.#mayElectUncleanly(topic, partition),
      (image) => this.#news(image),
    );
    this.controllers = Array.from({ length: plan.controllers }, (_, at) => new ControllerNode(at + 1, this));
    this.brokers = Array.from({ length: plan.brokers }, (_, at) => new BrokerNode(at + 1, this));
    for (const node of this.nodes) node.start();
  }

  get nodes(): readonly RoleNode[] {
    return [...this.controllers, ...this.brokers];
  }

  get activeController(): ControllerNode | undefined {
    return this.controllers.find(({ isActive }) => isActive);
  }

  partitions(): readonly { readonly topic: string; readonly partition: number }[] {
    return this.plan.topics.flatMap(({ name, partitions }) => {
      const length = this.image?.topics.named(name)?.partitions.length ?? partitions;
      return Array.from({ length }, (_, partition) => ({ topic: name, partition }));
    });
  }

  imageAt(name: string): MetadataImage | undefined {
    return this.controllers.find((one) => one.name === name)?.image;
  }

  /** Something goes wrong in a while, unless everything has been healed by then. */
  troubleAfter(ms: number, what: string, strike: () => void): void {
    this.scheduler.after(ms, what, () => {
      if (!this.isEnding) strike();
    });
  }

  nodeOf(name: string): ReplicaNode | undefined {
    return this.brokers.find((one) => one.name === name)?.node;
  }

  wentDown(name: string, hasLostPower: boolean): void {
    const broker = this.brokers.find((one) => one.name === name);
    if (broker === undefined || !hasLostPower) return;
    this.truth.lostPower(broker.id);
    this.#relaxed.lostPower(broker.id);
  }

  /** After every event. */
  look(): void {
    for (const { life, name, image } of this.controllers) {
      if (life !== undefined && image !== undefined) this.#images.look(life, name, image);
    }
    for (const broker of this.brokers) {
      const { life, name, image, node, id } = broker;
      if (life === undefined) continue;
      if (image !== undefined) this.#images.look(life, name, image);
      if (node === undefined) continue;
      this.#replicas.look({ id, node });
      if (this.plant.replica === undefined) continue;
      for (const replica of node.driver.partitions()) this.plant.replica(replica, this);
    }
    if (this.image !== undefined) this.#electable.look(this.image);
  }

  /** Everything runs, every partition is led, every replica in sync and equal to its leader. */
  whatIsMissing(): string[] {
    const { image } = this;
    const down = this.nodes.filter(({ isServing }) => !isServing).map(({ name }) => `${name} does not serve`);
    if (down.length > 0 || image === undefined) return down;
    const late = this.brokers.filter((broker) => broker.image?.offset !== image.offset);
    if (late.length > 0) return late.map(({ name }) => `${name} has not heard the latest`);
    return [...image.topics.values()].flatMap((topic) =>
      topic.partitions.flatMap((partition, number) => this.#missingOf(topic, partition, number)),
    );
  }

  #missingOf(topic: TopicImage, partition: PartitionImage, number: number): string[] {
    const { leader, isr, replicas, addingReplicas, removingReplicas } = partition;
    const name = `${topic.name}-${number}`;
    if (leader === NO_LEADER) return [`${name} has no leader: ${JSON.stringify(partition)}`];
    if (isr.length < replicas.length) return [`${name} is not in sync: ${JSON.stringify(partition)}`];
    if (addingReplicas.length + removingReplicas.length > 0) return [`${name} is being reassigned`];
    const here = replicas.map((id) => this.brokers[id - 1]?.node?.driver.find(topic.name, number));
    const ends = here.map((replica) => (replica?.log.kind === 'online' ? replica.logEndOffset : -1));
    const lead = here.find((replica) => replica?.isLeader);
    if (lead === undefined) return [`${name}: its leader does not know it`];
    const starts = here.map((replica) => replica?.logStartOffset ?? -1);
    // A deletion that its leader did not live to see done may have moved the start of one replica alone.
    if (starts.some((start) => start < lead.logStartOffset)) return [`${name} begins at ${starts.join(', ')}`];
    const isLevel = ends.every((end) => end === lead.highWatermark) || lead.logEndOffset === 0;
    return isLevel ? [] : [`${name} is not level: ${ends.join(', ')}, high watermark ${lead.highWatermark}`];
  }

  /** The topic allows it, or a person has asked for it. */
  #mayElectUncleanly({ name, id }: TopicImage, partition: number): boolean {
    const isAllowed = this.plan.topics.some((topic) => topic.name === name && topic.isUnclean);
    return isAllowed || this.truth.find(id, partition)?.mayHaveLost === true;
  }

  #news(image: MetadataImage): void {
    this.image = image;
    this.#relaxed.changed(image);
    for (const topic of image.topics.values()) {
      const plan = this.plan.topics.find(({ name }) => name === topic.name);
      if (plan?.isUnclean !== true) continue;
      topic.partitions.forEach((_, number) => {
        this.truth.partition(topic.name, topic.id, number).mayHaveLost = true;
      });
    }
  }
}
