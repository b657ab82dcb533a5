/** Somebody who makes the topics of the run, makes again those that are gone, and changes what there is. */
import { BarnabasError } from '@barnabas/protocol';
import type { Surroundings } from '../surroundings.js';
import type { TopicPlan } from '../topics.js';
import { ClientProcess } from './client-process.js';

const MAX_PARTITIONS = 4;

export class ClusterAdmin {
  readonly #process: ClientProcess;

  constructor(private readonly around: Surroundings) {
    this.#process = new ClientProcess(around, 'admin');
    this.#act();
  }

  /** Every topic of the run is there. */
  get isDone(): boolean {
    return this.around.plan.topics.every(({ name }) => this.#exists(name));
  }

  deleteSome(): void {
    const mortal = this.around.plan.topics.filter(({ isMortal }) => isMortal);
    if (mortal.length === 0) return;
    this.#try('deletion', this.#admin.deleteTopics([this.around.dice.pick(mortal).name]));
  }

  /** Other replicas for a partition, as many as it has or another number; now and then back to those it had. */
  reassignSome(): void {
    const { dice, plan, image } = this.around;
    const { topic, partition } = dice.pick(this.around.partitions());
    const count = image?.topics.named(topic)?.partitions[partition]?.replicas.length ?? 1;
    const ids = Array.from({ length: plan.brokers }, (_, at) => at + 1);
    const replicas: number[] = [];
    while (replicas.length < count) replicas.push(...ids.splice(dice.below(ids.length), 1));
    const cancels = dice.chance(0.2);
    const change = { topic, partition, replicas: cancels ? null : replicas };
    this.#try('reassignment', this.#admin.alterPartitionReassignments([change]));
  }

  addPartitions(): void {
    const { dice, plan, image } = this.around;
    const { name } = dice.pick(plan.topics);
    const count = image?.topics.named(name)?.partitions.length ?? 0;
    if (count === 0 || count >= MAX_PARTITIONS) return;
    this.#try('more partitions', this.#admin.createPartitions([{ name, totalCount: count + 1 }]));
  }

  electPreferred(): void {
    this.#try('election', this.#admin.electLeaders('preferred'));
  }

  get #admin() {
    return this.#process.client.admin();
  }

  #exists(topic: string): boolean {
    return this.around.image?.topics.named(topic) !== undefined;
  }

  #act(): void {
    const { scheduler, dice, plan } = this.around;
    scheduler.after(dice.between(20, 500), 'admin', () => {
      const missing = plan.topics.find(({ name }) => !this.#exists(name));
      const work = missing === undefined ? Promise.resolve() : this.#create(missing);
      work
        .catch((error: unknown) => this.#refused('creation', error))
        .finally(() => this.#act())
        .catch((error: unknown) => this.around.fail(error));
    });
  }

  async #create({ name, partitions, replicationFactor, config }: TopicPlan): Promise<void> {
    await this.#admin.createTopics([{ name, partitions, replicationFactor, configs: config }]);
    this.around.tally.count('topics made');
  }

  #try(what: string, work: Promise<unknown>): void {
    work.then(
      () => this.around.tally.count(what),
      (error: unknown) => this.#refused(what, error),
    );
  }

  #refused(what: string, error: unknown): void {
    if (!(error instanceof BarnabasError)) return this.around.fail(error);
    this.around.trace.note(`  ${what} refused: ${error.errorName} ${error.message}`);
    this.around.tally.count(`${what} refused: ${error.errorName}`);
  }
}
