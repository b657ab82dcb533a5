/** Somebody who makes the topics of the run, makes again those that are gone, and changes what there is. */
import type { DeleteRecords, TopicPartition } from '@barnabas/client';
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

  /** Somebody leads, whatever he lacks: a person's way out where all that is left cannot be used. */
  electUncleanly({ topic, partition }: TopicPartition): void {
    const election = this.#admin.electLeaders('unclean', { topics: [{ topic, partitions: [partition] }] });
    this.#try('unclean election', election);
  }

  /** Everything of a partition below some committed record goes; now and then everything that is committed. */
  deleteRecordsSomewhere(): void {
    const { dice, truth, image } = this.around;
    const { topic, partition } = dice.pick(this.around.partitions());
    const name = `${topic}-${partition}`;
    const committed = truth.find(image?.topics.named(topic)?.id ?? '', partition)?.endOffset ?? 0;
    const beforeOffset = dice.between(0, committed);
    truth.mayDelete(name, beforeOffset);
    this.#try('deletion of records', this.#deleteRecords(name, { topic, partition, beforeOffset }));
  }

  electPreferred(): void {
    this.#try('election', this.#admin.electLeaders('preferred'));
  }

  /** The preferred leader of one partition is to lead it; or, if a broker is given, that one is made it first. */
  lead({ topic, partition }: TopicPartition, broker: number | undefined): void {
    this.#try('election', this.#lead({ topic, partition }, broker));
  }

  get #admin() {
    return this.#process.client.admin();
  }

  async #deleteRecords(name: string, cut: DeleteRecords): Promise<void> {
    for (const { logStartOffset } of await this.#admin.deleteRecords([cut])) {
      const { beforeOffset } = cut;
      this.around.judge(() => this.around.truth.deleted(name, beforeOffset, logStartOffset));
    }
  }

  async #lead({ topic, partition }: TopicPartition, broker: number | undefined): Promise<void> {
    const { replicas = [] } = this.around.image?.topics.named(topic)?.partitions[partition] ?? {};
    if (broker !== undefined && replicas.includes(broker)) {
      const others = replicas.filter((id) => id !== broker);
      await this.#admin.alterPartitionReassignments([{ topic, partition, replicas: [broker, ...others] }]);
    }
    await this.#admin.electLeaders('preferred', { topics: [{ topic, partitions: [partition] }] });
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
