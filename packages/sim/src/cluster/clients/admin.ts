/** Somebody who makes the topics of the run, and makes again those that are gone. */
import { BarnabasError } from '@barnabas/protocol';
import type { Surroundings } from '../surroundings.js';
import type { TopicPlan } from '../topics.js';
import { ClientProcess } from './client-process.js';

export class ClusterAdmin {
  readonly #process: ClientProcess;

  constructor(
    private readonly around: Surroundings,
    private readonly exists: (topic: string) => boolean,
  ) {
    this.#process = new ClientProcess(around, 'admin');
    this.#act();
  }

  /** Every topic of the run is there. */
  get isDone(): boolean {
    return this.around.plan.topics.every(({ name }) => this.exists(name));
  }

  delete(topic: TopicPlan): void {
    this.#try('deletion', this.#process.client.admin().deleteTopics([topic.name]));
  }

  #act(): void {
    const { scheduler, dice, plan } = this.around;
    scheduler.after(dice.between(20, 500), 'admin', () => {
      const missing = plan.topics.find(({ name }) => !this.exists(name));
      const work = missing === undefined ? Promise.resolve() : this.#create(missing);
      work
        .catch((error: unknown) => this.#refused('creation', error))
        .finally(() => this.#act())
        .catch((error: unknown) => this.around.fail(error));
    });
  }

  async #create({ name, partitions, replicationFactor, config }: TopicPlan): Promise<void> {
    await this.#process.client.admin().createTopics([{ name, partitions, replicationFactor, configs: config }]);
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
