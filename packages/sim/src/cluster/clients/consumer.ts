/**
 * A program that reads every partition with the real consumer, from the beginning, and compares each
 * record with what is committed. Now and then it begins anew, at an earlier place.
 */
import type { Consumer, ConsumerRecord, TopicPartition } from '@barnabas/client';
import { BarnabasError } from '@barnabas/protocol';
import { Violation } from '../../kernel/violation.js';
import type { Surroundings } from '../surroundings.js';
import { markIn } from '../truth/replica-log.js';
import { ClientProcess } from './client-process.js';

export class ClusterConsumer {
  readonly #process: ClientProcess;
  readonly #positions = new Map<string, number>();
  #consumer: Consumer | undefined;

  constructor(
    private readonly around: Surroundings,
    private readonly number: number,
    /** Every topic of the run is there. */
    private readonly exists: () => boolean,
  ) {
    this.#process = new ClientProcess(around, this.name);
    this.#beginSoon();
    this.#mood();
  }

  get name(): string {
    return `consumer-${this.number}`;
  }

  /** The offset after the last record that it has read; 0 before the first. */
  position(partition: string): number {
    return this.#positions.get(partition) ?? 0;
  }

  /** Reads whatever partitions there are now. */
  renew(): void {
    void this.#consumer?.close();
  }

  #mood(): void {
    const { scheduler, dice } = this.around;
    scheduler.after(dice.between(500, 8000), `${this.name} has a mood`, () => {
      if (this.around.isEnding) return;
      this.renew();
      this.#mood();
    });
  }

  #beginSoon(): void {
    const { scheduler, dice } = this.around;
    scheduler.after(dice.between(1, 300), `${this.name} begins`, () => {
      const work = this.exists() ? this.#read() : Promise.resolve();
      work
        .catch((error: unknown) => this.#failed(error))
        .finally(() => this.#beginSoon())
        .catch((error: unknown) => this.around.fail(error));
    });
  }

  async #read(): Promise<void> {
    const { dice } = this.around;
    const consumer = this.#process.client.consumer({
      ...{ autoOffsetReset: 'earliest', fetchMaxBytes: dice.pick([300, 100_000]), fetchMinBytes: dice.pick([1, 200]) },
      fetchMaxWaitMs: dice.between(100, 500),
    });
    this.#consumer = consumer;
    const next = new Map<string, number>();
    try {
      await consumer.assign(this.around.partitions().map((one) => ({ ...one, position: this.#start(one) })));
      for await (const record of consumer) this.#receive(record, next);
    } finally {
      await consumer.close();
    }
  }

  #start({ topic, partition }: TopicPartition): { readonly offset: number } {
    const reached = this.position(`${topic}-${partition}`);
    const { dice } = this.around;
    return { offset: dice.chance(0.5) ? reached : dice.between(0, reached) };
  }

  #receive({ topic, partition, offset, value }: ConsumerRecord, next: Map<string, number>): void {
    const { tally, truth } = this.around;
    const name = `${topic}-${partition}`;
    tally.count('records read');
    this.around.judge(() => {
      truth.told('read', name, offset, value === null ? '' : markIn(value));
      const expected = next.get(name);
      const plan = this.around.plan.topics.find((one) => one.name === topic);
      const isFree = plan?.isMortal === true || plan?.isRelaxed === true || plan?.isUnclean === true;
      const mayJump = isFree || truth.hasLost(name);
      // What a client has deleted is not missing.
      const isBehindDeleted = expected !== undefined && offset > expected && offset <= truth.deletable(name);
      if (expected !== undefined && offset !== expected && !mayJump && !isBehindDeleted) {
        throw new Violation('read', 'a reader has skipped or repeated records', { partition: name, expected, offset });
      }
    });
    next.set(name, offset + 1);
    this.#positions.set(name, offset + 1);
  }

  #failed(error: unknown): void {
    const { trace, tally } = this.around;
    if (!(error instanceof BarnabasError)) return this.around.fail(error);
    trace.note(`  ${this.name} failed: ${error.errorName} ${error.message}`);
    tally.count(`readers failed with ${error.errorName}`);
  }
}
