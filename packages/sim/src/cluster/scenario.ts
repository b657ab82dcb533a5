/**
 * Three controllers, three to five brokers, and clients: the real roles and the real client on
 * simulated disks and a simulated network. First everything may go wrong while the checks look on;
 * then all is healed, and everything that was begun must end, every replica be in sync and equal.
 */
import { BarnabasError } from '@barnabas/protocol';
import { run } from '../kernel/play.js';
import type { Events, Play } from '../kernel/play.js';
import type { RunOptions, Scenario } from '../kernel/report.js';
import { audit } from './checks/audit.js';
import { ClusterAdmin } from './clients/admin.js';
import { ClusterConsumer } from './clients/consumer.js';
import { ClusterProducer } from './clients/producer.js';
import { Cluster } from './cluster.js';
import { ClusterFate } from './misfortune.js';
import { Operator } from './operator.js';
import { planCluster } from './plan.js';
import { CLUSTER_PLANTS } from './plants/index.js';
import { NO_CLUSTER_PLANT } from './plants/plant.js';

export const clusterScenario: Scenario = {
  name: 'cluster',
  events: 6000,
  plants: CLUSTER_PLANTS,
  expects: {
    'records acknowledged': 3000,
    'records read': 4000,
    'topics made': 40,
    'logs read': 100,
    ...{
      reassignment: 2,
      deletedTopic: 2,
      morePartitions: 2,
      election: 2,
      unsteadyFollower: 20,
      siege: 20,
      slowControllers: 2,
    },
    ...{ kill: 2, powerLoss: 2, killOfAll: 1, powerLossOfAll: 2, restart: 2, freeze: 2, stall: 2, failedWrite: 2 },
    ...{ reset: 2, isolation: 2, split: 2, oneWay: 2, slowLink: 2, leaderWithoutControllers: 2 },
    ...{ leaderWithoutFollowers: 2, fullDisk: 2, clockStep: 2, 'logs that rotted': 1, 'deletion of records': 1 },
  },
  run: (options: RunOptions) => run('cluster', options, () => new ClusterRun(options)),
};

class ClusterRun implements Play {
  readonly stage: Cluster;
  readonly #fate: ClusterFate;
  readonly #admin: ClusterAdmin;
  readonly #producers: readonly ClusterProducer[];
  readonly #consumers: readonly ClusterConsumer[];

  constructor(private readonly options: RunOptions) {
    const plant = CLUSTER_PLANTS.find(({ name }) => name === options.plant) ?? NO_CLUSTER_PLANT;
    const cluster = new Cluster(options.seed, plant, planCluster);
    const { plan } = cluster;
    this.stage = cluster;
    this.#admin = new ClusterAdmin(cluster);
    this.#producers = Array.from({ length: plan.producers }, (_, at) => new ClusterProducer(cluster, at));
    this.#consumers = Array.from(
      { length: plan.consumers },
      (_, at) => new ClusterConsumer(cluster, at, () => this.#admin.isDone),
    );
    this.#fate = new ClusterFate(cluster, this.#admin);
    new Operator(cluster, this.#admin);
  }

  check(): void {
    this.stage.look();
  }

  async act(events: Events): Promise<void> {
    const { stage } = this;
    await events.upTo(this.options.events);
    stage.isEnding = true;
    stage.trace.note('  everything is healed');
    this.#fate.heal();
    await events.until(
      'every topic is there and every node serves',
      () => this.#admin.isDone && stage.nodes.every(({ isServing }) => isServing),
      () => this.stage.whatIsMissing().join('; '),
    );
    for (const producer of this.#producers) producer.finish(this.#partitions());
    for (const consumer of this.#consumers) consumer.renew();
    await events.until(
      'everything that was begun ends',
      () => this.#isDone(),
      () => this.#whoWaits(),
    );
    await this.#audit(events);
  }

  /** Reading everything also finds what has rotted: such a replica is made anew, and read again. */
  async #audit(events: Events): Promise<void> {
    const { stage } = this;
    for (;;) {
      const failure = await events.of('every log can be read', audit(stage), () => false);
      if (failure === undefined) return;
      const isRot =
        failure instanceof BarnabasError && failure.facts?.['corrupt'] === true && stage.truth.isAnyRotten();
      if (!isRot) throw failure;
      stage.tally.count('rot found by reading everything');
      await events.until(
        'what has rotted is whole again',
        () => stage.whatIsMissing().length === 0,
        () => stage.whatIsMissing().join('; '),
      );
    }
  }

  #partitions(): readonly { readonly topic: string; readonly partition: number }[] {
    return this.stage.partitions();
  }

  #isDone(): boolean {
    const { stage } = this;
    return (
      this.#producers.every(({ isDone }) => isDone) && this.#lag().length === 0 && stage.whatIsMissing().length === 0
    );
  }

  /** Consumers that have not read everything. */
  #lag(): string[] {
    const { image, truth } = this.stage;
    return this.#partitions().flatMap(({ topic, partition }) => {
      const name = `${topic}-${partition}`;
      const { endOffset = 0 } = truth.find(image?.topics.named(topic)?.id ?? '', partition) ?? {};
      const behind = this.#consumers.filter((consumer) => consumer.position(name) < endOffset);
      return behind.map(
        (consumer) => `${consumer.name} is at ${consumer.position(name)} of ${name}, not at ${endOffset}`,
      );
    });
  }

  #whoWaits(): string {
    const waiting = this.#producers.filter(({ isDone }) => !isDone).map((producer) => producer.describe());
    return [...this.stage.whatIsMissing(), ...waiting, ...this.#lag()].join('; ');
  }
}
