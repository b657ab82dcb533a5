/**
 * A consumer of every partition: one fetch stream, credit by small grants, now and then slow, gone,
 * or back at an earlier place, so that everything is read many times, from memory and from disk.
 */
import { errorFromProto, v1 } from '@barnabas/protocol';
import { Violation } from '../kernel/violation.js';
import type { BrokerProcess, FetchLink } from './broker-process.js';
import { ServedSubscription } from './checks/served.js';
import { Link } from './link.js';
import type { TopicPlan } from './topics.js';
import type { World } from './world.js';

/** One partition's place, kept over connections. */
interface Reading {
  readonly topic: TopicPlan;
  readonly partition: number;
  topicId: string | undefined;
  position: number;
}

interface ConsumerStyle {
  readonly creditBytes: number;
  readonly maxBytes: number;
  readonly minBytes: number;
  readonly maxWaitMs: number;
  readonly moodEveryMs: number;
}

interface Connection {
  readonly link: FetchLink;
  readonly broker: BrokerProcess;
  readonly subscribed: Map<number, Reading>;
}

export class SimulatedConsumer {
  readonly #style: ConsumerStyle;
  readonly #readings: Reading[];
  #connection: Connection | undefined;
  #subscriptionId = 0;
  #connecting = false;

  constructor(
    private readonly world: World,
    private readonly name: string,
  ) {
    const { dice, plan } = world;
    this.#style = {
      creditBytes: dice.pick([200, 2000, 1_000_000]),
      maxBytes: dice.pick([1, 500, 100_000]),
      minBytes: dice.pick([0, 0, 300]),
      maxWaitMs: dice.between(1, 300),
      moodEveryMs: dice.between(50, 1500),
    };
    this.#readings = plan.topics.flatMap((topic) =>
      Array.from({ length: topic.partitions }, (_, partition) => ({
        topic,
        partition,
        topicId: undefined,
        position: 0,
      })),
    );
    this.#connectSoon();
    this.#mood();
  }

  /** Everything that may be read has been. */
  get isDone(): boolean {
    return this.#readings.every((reading) => this.#isAtEnd(reading));
  }

  describe(): string {
    return `${this.name} (${this.#readings.map((one) => `${one.topic.name}-${one.partition}: ${one.position}`).join(', ')})`;
  }

  #isAtEnd({ topic, partition, topicId, position }: Reading): boolean {
    const { authority, broker, history } = this.world;
    const current = authority.topicId(topic.name);
    if (current === undefined) return true;
    if (history.partition(current, partition)?.isRotten === true) return true;
    const replica = broker?.node?.driver.find(topic.name, partition);
    if (replica === undefined || replica.refusal() !== undefined || replica.log.kind !== 'online') return false;
    return topicId === current && position === replica.highWatermark;
  }

  // --- moods ---

  #mood(): void {
    const { scheduler, dice } = this.world;
    scheduler.after(dice.between(1, this.#style.moodEveryMs), `${this.name} has a mood`, () => {
      if (this.world.isEnding) this.#connection?.link.client.resume();
      else this.#indulge();
      this.#mood();
    });
  }

  #indulge(): void {
    const { dice } = this.world;
    const client = this.#connection?.link.client;
    if (client === undefined) return;
    if (dice.chance(0.3)) client.pause();
    else if (dice.chance(0.5)) client.resume();
    else if (dice.chance(0.5)) this.#goElsewhere();
    else this.#leave();
  }

  #goElsewhere(): void {
    const { dice, history } = this.world;
    const reading = dice.pick(this.#readings);
    const told = history.partition(reading.topicId ?? '', reading.partition)?.toldEndOffset ?? 0;
    reading.position = dice.between(0, told);
    this.#leave();
  }

  #leave(): void {
    this.#connection?.link.client.abandon();
    this.#connection = undefined;
    this.#connectSoon();
  }

  // --- connecting ---

  #connectSoon(): void {
    if (this.#connecting) return;
    this.#connecting = true;
    const { scheduler, dice } = this.world;
    scheduler.after(dice.between(1, 100), `${this.name} connects`, () => {
      this.#connecting = false;
      this.#connect();
    });
  }

  #connect(): void {
    const { broker, scheduler, dice, plan } = this.world;
    if (broker === undefined) return this.#connectSoon();
    const link: FetchLink = new Link({ scheduler, dice, maxLatencyMs: plan.networkLatencyMs }, this.name);
    const connection: Connection = { link, broker, subscribed: new Map() };
    const served = new Map<number, ServedSubscription>();
    this.#connection = connection;
    link.client.handle({
      onMessage: (message) => {
        if (this.#connection === connection) this.#receive(connection, served, message);
      },
      onClose: () => {
        if (this.#connection !== connection) return;
        this.#connection = undefined;
        this.#connectSoon();
      },
    });
    broker.fetchStream(link, (message) => served.get(message.subscriptionId)?.observe(broker, message));
    for (const reading of this.#readings) this.#subscribe(connection, served, reading);
    this.#grant(connection, this.#style.creditBytes);
  }

  #subscribe(connection: Connection, served: Map<number, ServedSubscription>, reading: Reading): void {
    const { topic, partition } = reading;
    const topicId = this.world.authority.topicId(topic.name);
    if (reading.topicId !== topicId) reading.position = 0;
    reading.topicId = topicId;
    this.#subscriptionId += 1;
    const { maxBytes, minBytes, maxWaitMs } = this.#style;
    const subscribe = v1.FetchSubscribe.create({
      ...{ subscriptionId: this.#subscriptionId, topic: topic.name, partition, offset: reading.position },
      ...{ maxBytes, minBytes, maxWaitMs },
    });
    connection.subscribed.set(this.#subscriptionId, reading);
    served.set(this.#subscriptionId, new ServedSubscription(this.world, topic.name, partition, reading.position));
    connection.link.client.write({ request: { $case: 'subscribe', subscribe } });
  }

  #grant(connection: Connection, bytes: number): void {
    connection.link.client.write({ request: { $case: 'credit', credit: { bytes } } });
  }

  // --- receiving ---

  #receive(connection: Connection, served: Map<number, ServedSubscription>, message: v1.FetchResponse): void {
    const reading = connection.subscribed.get(message.subscriptionId);
    if (reading === undefined) throw new Violation('served', 'a message of no subscription', { name: this.name });
    if (message.ended) {
      connection.subscribed.delete(message.subscriptionId);
      this.#ended(connection, served, reading, message);
      return;
    }
    reading.position = message.nextOffset;
    // The name may have come to mean another topic on the way to the broker.
    reading.topicId = served.get(message.subscriptionId)?.topicId;
    if (message.batches.length > 0) this.#grant(connection, message.batches.length);
  }

  #ended(
    connection: Connection,
    served: Map<number, ServedSubscription>,
    reading: Reading,
    { error }: v1.FetchResponse,
  ): void {
    const { scheduler, dice, tally } = this.world;
    const name = error === undefined ? 'nothing' : errorFromProto(error).errorName;
    tally.count(`subscriptions ended by ${name}`);
    if (name === 'OFFSET_OUT_OF_RANGE') this.#outOfRange(reading);
    scheduler.after(dice.between(5, 150), `${this.name} subscribes again`, () => {
      if (this.#connection === connection) this.#subscribe(connection, served, reading);
    });
  }

  /** The place is gone; whether it may be is for the checks of the log start. Goes to where the log begins. */
  #outOfRange(reading: Reading): void {
    const { broker, history } = this.world;
    const partition = history.partition(reading.topicId ?? '', reading.partition);
    const mayBeGone =
      partition === undefined || partition.plan.hasRetention || partition.plan.isMortal || partition.isUnreliable;
    if (!mayBeGone && reading.position >= partition.deletionAsked) {
      throw new Violation('durable', 'a place that a consumer had reached is no longer in the log', {
        ...{ partition: partition.lane, position: reading.position },
      });
    }
    const replica = broker?.node?.driver.find(reading.topic.name, reading.partition);
    reading.position = replica?.logStartOffset ?? 0;
  }
}
