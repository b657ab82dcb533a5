/**
 * A program that produces with the real producer, and compares what it is told with what is
 * committed. A record that fails has an unknown fate; a record that is acknowledged has none.
 */
import type { Acks, Producer, RecordMetadata, TopicPartition } from '@barnabas/client';
import { BarnabasError } from '@barnabas/protocol';
import { markOf } from '../truth/marks.js';
import type { Surroundings } from '../surroundings.js';
import { ClientProcess } from './client-process.js';

interface Style {
  readonly acks: Acks;
  readonly isIdempotent: boolean;
  readonly thinkMs: number;
  readonly maxPending: number;
  readonly maxPaddingBytes: number;
}

/**
 * What a producer may be refused with for good only where topics go and come, or may lose something or have
 * done so, where records were deleted (a replica that begins anew at a later log start knows nothing of who
 * wrote before), or where it has given up a batch of that partition before, of which it is not known whether
 * it is in the log.
 */
const UNLUCKY = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
]);

export class ClusterProducer {
  readonly #style: Style;
  readonly #process: ClientProcess;
  readonly #producer: Producer;
  /** Where it sends every other record to: a partition that is busy has something on its way at any time. */
  readonly #favourite: number;
  /** By lane. */
  readonly #made = new Map<string, number>();
  /** Lanes in which a record has failed. */
  readonly #uncertain = new Set<string>();
  #pending = 0;
  #isDone = false;

  constructor(
    private readonly around: Surroundings,
    private readonly session: number,
  ) {
    const { dice } = around;
    const acks: Acks = dice.chance(0.85) && !around.plan.isAcksOne ? 'all' : 1;
    this.#style = {
      acks,
      isIdempotent: acks === 'all' && dice.chance(0.75),
      thinkMs: dice.pick([30, 100, 300]),
      maxPending: dice.between(1, 30),
      maxPaddingBytes: dice.pick([0, 100, 400]),
    };
    this.#favourite = dice.below(1000);
    this.#process = new ClientProcess(around, this.name);
    this.#producer = this.#process.client.producer({
      ...{ acks, enableIdempotence: this.#style.isIdempotent, lingerMs: dice.pick([0, 5, 30]) },
      ...{ batchSize: dice.pick([1, 500]), maxInFlight: dice.pick([1, 5]), allowAutoCreateTopics: false },
      ...{ requestTimeoutMs: 1500, deliveryTimeoutMs: dice.between(2000, 20_000), maxBlockMs: 5000 },
    });
    this.#think();
  }

  get name(): string {
    return `producer-${this.session}`;
  }

  /** Nothing is on its way, and since everything was healed a record of each partition was acknowledged. */
  get isDone(): boolean {
    return this.#isDone && this.#pending === 0;
  }

  /** Sends to each partition until that is acknowledged. */
  finish(partitions: readonly { readonly topic: string; readonly partition: number }[]): void {
    Promise.all(partitions.map(({ topic, partition }) => this.#insist(topic, partition))).then(
      () => (this.#isDone = true),
      (error: unknown) => this.around.fail(error),
    );
  }

  describe(): string {
    return `${this.name} waits for ${this.#pending}`;
  }

  async #insist(topic: string, partition: number): Promise<void> {
    // A topic may be made anew with fewer partitions meanwhile: a deletion was late.
    const isThere = () => this.around.partitions().some((one) => one.topic === topic && one.partition === partition);
    while (isThere() && !(await this.#send(topic, partition))) await this.#process.scope.delay(100, 'insists');
  }

  #think(): void {
    const { scheduler, dice } = this.around;
    scheduler.after(dice.between(1, this.#style.thinkMs), `${this.name} thinks`, () => {
      if (this.around.isEnding) return;
      if (this.#pending < this.#style.maxPending) {
        const { topic, partition } = this.#target();
        const count = dice.between(1, 3);
        for (let at = 0; at < count; at++) void this.#send(topic, partition);
      }
      this.#think();
    });
  }

  #target(): TopicPartition {
    const partitions = this.around.partitions();
    const favourite = partitions[this.#favourite % partitions.length];
    return favourite !== undefined && this.around.dice.chance(0.5) ? favourite : this.around.dice.pick(partitions);
  }

  /** True if it was acknowledged. Never rejects. */
  async #send(topic: string, partition: number): Promise<boolean> {
    const { dice, tally } = this.around;
    const lane = `${topic}-${partition}`;
    const number = this.#made.get(lane) ?? 0;
    this.#made.set(lane, number + 1);
    const mark = markOf(this.session, this.#style.isIdempotent, lane, number);
    const value = `${mark} ${'x'.repeat(dice.between(0, this.#style.maxPaddingBytes))}`;
    this.#pending += 1;
    try {
      this.#acknowledged(mark, await this.#producer.send({ topic, partition, value }));
      return true;
    } catch (error) {
      this.#failed(mark, topic, error);
      return false;
    } finally {
      this.#pending -= 1;
      tally.count('records settled');
    }
  }

  #acknowledged(mark: string, { topic, partition, offset }: RecordMetadata): void {
    const { trace, tally, truth } = this.around;
    trace.note(`  ${this.name}: ${mark} at ${offset}`);
    tally.count(`records acknowledged`);
    // A leader alone promises nothing, and a duplicate's place may be forgotten.
    if (this.#style.acks !== 'all' || offset < 0) return;
    this.around.judge(() => truth.told('acknowledged', `${topic}-${partition}`, offset, mark));
  }

  #failed(mark: string, topic: string, error: unknown): void {
    const { trace, tally, truth } = this.around;
    if (!(error instanceof BarnabasError)) return this.around.fail(error);
    trace.note(`  ${this.name}: ${mark} failed: ${error.errorName} ${error.message}`);
    tally.count(`records failed with ${error.errorName}`);
    const plan = this.around.plan.topics.find(({ name }) => name === topic);
    const lane = mark.slice(0, mark.lastIndexOf('/'));
    const name = lane.slice(lane.indexOf('/') + 1);
    const mayLose =
      truth.deletable(name) > 0 ||
      truth.hasLost(name) ||
      this.#uncertain.has(lane) ||
      plan?.isMortal === true ||
      plan?.isRelaxed === true ||
      plan?.isUnclean === true;
    this.#uncertain.add(lane);
    // What may pass was tried until its time was up.
    if (error.retriable || (mayLose && UNLUCKY.has(error.errorName))) return;
    this.around.fail(error);
  }
}
