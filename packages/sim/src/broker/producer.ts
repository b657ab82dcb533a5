/**
 * A producer as Kafka's protocol wants it: batches of one partition in order, up to five in flight,
 * retried after errors that allow it and after connections that broke, with their first sequence.
 * When it must give up it goes on under a new producer id. Written for the simulator: it also does
 * what clients should not (the same request twice, connections left behind).
 */
import { errorFromProto, v1 } from '@barnabas/protocol';
import type { BarnabasError, CompressionType } from '@barnabas/protocol';
import { Violation } from '../kernel/violation.js';
import { observeAnswer } from './checks/answers.js';
import type { ProduceLink } from './broker-process.js';
import type { Session } from './history.js';
import { Link } from './link.js';
import { ProducerLane, describeBatch } from './producer-lane.js';
import type { LaneBatch } from './producer-lane.js';
import type { World } from './world.js';

interface ProducerStyle {
  readonly isIdempotent: boolean;
  readonly acks: v1.Acks;
  readonly window: number;
  readonly maxRecords: number;
  readonly maxPaddingBytes: number;
  readonly compression: CompressionType;
  readonly thinkMs: number;
  readonly timeoutMs: number;
  readonly maxPending: number;
}

/** A connection and what was asked on it. */
interface Connection {
  readonly link: ProduceLink;
  /** Everything ever sent on it, by correlation id. */
  readonly requests: Map<number, readonly LaneBatch[]>;
  /** Those not answered yet. */
  readonly awaited: Set<number>;
}

/** The log does not have what comes before a batch. */
const GAPS: ReadonlySet<string> = new Set(['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID']);

export class SimulatedProducer {
  readonly #style: ProducerStyle;
  #session: Session;
  #producerId: number | undefined;
  #lanes = new Map<string, ProducerLane>();
  #connection: Connection | undefined;
  #correlationId = 0;
  #isBackingOff = false;

  constructor(
    private readonly world: World,
    private readonly name: string,
  ) {
    const { dice } = world;
    const isIdempotent = dice.chance(0.7);
    this.#style = {
      isIdempotent,
      acks: isIdempotent ? v1.Acks.ALL : dice.pick([v1.Acks.ALL, v1.Acks.LEADER, v1.Acks.NONE]),
      window: dice.pick([1, 5]),
      maxRecords: dice.between(1, 5),
      maxPaddingBytes: dice.pick([0, 200]),
      compression: dice.chance(0.1) ? 'lz4' : 'none',
      thinkMs: dice.between(2, 60),
      timeoutMs: dice.between(200, 3000),
      maxPending: dice.between(1, 12),
    };
    this.#session = this.#begin();
    this.#think();
  }

  /** Nothing is left to send. */
  get isDone(): boolean {
    return [...this.#lanes.values()].every((lane) => lane.pending.length === 0 || this.#isRotten(lane));
  }

  describe(): string {
    const lanes = [...this.#lanes.values()].map(({ name, pending }) => `${name}: ${pending.length}`);
    return `${this.name} (${lanes.join(', ')})`;
  }

  #isRotten({ topicId, partition }: ProducerLane): boolean {
    return this.world.history.partition(topicId, partition)?.isRotten === true;
  }

  #begin(): Session {
    const { isIdempotent } = this.#style;
    this.#producerId = isIdempotent ? this.world.authority.producerId() : undefined;
    this.#lanes = new Map();
    return this.world.history.newSession(isIdempotent);
  }

  /** Gives up what is pending and goes on as somebody new. */
  #beginAnew(why: string): void {
    this.world.trace.note(`  ${this.name} begins anew: ${why}`);
    this.world.tally.count('sessions given up');
    this.#session = this.#begin();
  }

  // --- making ---

  #think(): void {
    const { scheduler, dice } = this.world;
    scheduler.after(dice.between(1, this.#style.thinkMs), `${this.name} thinks`, () => {
      if (this.world.isEnding) return;
      this.#make();
      this.#think();
    });
  }

  #make(): void {
    const { dice, plan, authority } = this.world;
    const topic = dice.pick(plan.topics);
    const topicId = authority.topicId(topic.name);
    if (topicId === undefined) return;
    const partition = dice.below(topic.partitions);
    const lane = this.#laneTo(`${topic.name}-${partition}`, () => {
      return new ProducerLane(topic, partition, topicId, this.#session, this.#producerId);
    });
    if (lane.pending.length >= this.#style.maxPending) return;
    const { maxRecords, maxPaddingBytes, compression } = this.#style;
    const timestamp = this.world.scheduler.clock().now();
    const records = dice.between(1, maxRecords);
    lane.make({ records, paddingBytes: dice.between(0, maxPaddingBytes), compression, timestamp });
    this.#pump();
  }

  #laneTo(name: string, make: () => ProducerLane): ProducerLane {
    const lane = this.#lanes.get(name) ?? make();
    this.#lanes.set(name, lane);
    return lane;
  }

  // --- sending ---

  #pump(): void {
    const { dice } = this.world;
    const lanes = [...this.#lanes.values()];
    if (this.#isBackingOff) return;
    if (lanes.every((lane) => lane.sendable(this.#style.window).length === 0)) return;
    const connection = this.#connection ?? this.#connect();
    if (connection === undefined) {
      this.#pumpSoon();
      return;
    }
    for (const lane of lanes) {
      for (const batch of lane.sendable(this.#style.window)) {
        this.#send(connection, batch);
        if (dice.chance(0.02)) this.#send(connection, batch);
      }
    }
    // No answer will say that the next ones may go.
    if (this.#style.acks === v1.Acks.NONE && !this.isDone) this.#pumpSoon();
  }

  #pumpSoon(): void {
    if (this.#isBackingOff) return;
    this.#isBackingOff = true;
    const { scheduler, dice } = this.world;
    scheduler.after(dice.between(5, 100), `${this.name} retries`, () => {
      this.#isBackingOff = false;
      this.#pump();
    });
  }

  #send(connection: Connection, batch: LaneBatch): void {
    const { acks, timeoutMs } = this.#style;
    this.#correlationId += 1;
    const correlationId = this.#correlationId;
    const request = { acks, timeoutMs: this.world.dice.between(20, timeoutMs), entries: [batch.lane.entry(batch)] };
    connection.requests.set(correlationId, [batch]);
    this.world.trace.note(`  ${this.name} sends ${describeBatch(batch)} as ${correlationId}`);
    connection.link.client.write({ correlationId, request, answerEarly: false });
    if (acks === v1.Acks.NONE) {
      batch.lane.done(batch);
      return;
    }
    batch.inFlight = true;
    connection.awaited.add(correlationId);
    this.#watch(connection, correlationId);
  }

  /** A connection on which an answer does not come is left behind, with whatever is on its way. */
  #watch(connection: Connection, correlationId: number): void {
    this.world.scheduler.after(this.#style.timeoutMs + 200, `${this.name} waits for ${correlationId}`, () => {
      if (this.#connection !== connection || !connection.awaited.has(correlationId)) return;
      this.world.tally.count('requests timed out at the client');
      connection.link.client.abandon();
      this.#disconnected(connection);
    });
  }

  #connect(): Connection | undefined {
    const { broker, scheduler, dice, plan } = this.world;
    if (broker === undefined) return undefined;
    const link: ProduceLink = new Link({ scheduler, dice, maxLatencyMs: plan.networkLatencyMs }, this.name);
    const connection: Connection = { link, requests: new Map(), awaited: new Set() };
    this.#connection = connection;
    link.client.handle({
      onMessage: (message) => this.#receive(connection, message),
      onClose: () => this.#disconnected(connection),
    });
    // Judged when the broker answers: whether that arrives is another matter.
    broker.produceStream(link, (message) => observeAnswer(this.world, broker, connection.requests, message));
    return connection;
  }

  #disconnected(connection: Connection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    for (const id of connection.awaited) for (const batch of connection.requests.get(id) ?? []) batch.inFlight = false;
    this.#pumpSoon();
  }

  // --- answers ---

  #receive(connection: Connection, { correlationId, response, error }: v1.ProduceStreamResponse): void {
    if (this.#connection !== connection || !connection.awaited.delete(correlationId)) return;
    connection.requests.get(correlationId)?.forEach((batch, index) => {
      if (batch.lane.session !== this.#session) return;
      const refusal = error ?? response?.results[index]?.error;
      if (refusal === undefined) batch.lane.done(batch);
      else this.#refused(batch, errorFromProto(refusal));
    });
    this.#pump();
  }

  #refused(batch: LaneBatch, error: BarnabasError): void {
    this.world.tally.count(`refused ${error.errorName}`);
    const { lane } = batch;
    batch.inFlight = false;
    const isRecreated = this.world.authority.topicId(lane.topic.name) !== lane.topicId;
    if (isRecreated) this.#beginAnew('the topic is another');
    else if (error.retriable || error.errorName === 'KAFKA_STORAGE_ERROR') this.#pumpSoon();
    // A batch whose predecessor was refused waits for it.
    else if (GAPS.has(error.errorName) && lane.pending[0] !== batch) this.#pumpSoon();
    else if (GAPS.has(error.errorName)) this.#gapMustBeExcusable(lane, error);
    else if (error.errorName === 'INVALID_TIMESTAMP') this.#beginAnew('a clock is far off');
    else throw unexpected(lane, error);
  }

  #gapMustBeExcusable(lane: ProducerLane, error: BarnabasError): void {
    const history = this.world.history.partition(lane.topicId, lane.partition);
    const excused = lane.topic.isMortal || history === undefined || history.isUnreliable;
    if (!excused) throw unexpected(lane, error);
    this.#beginAnew(error.errorName);
  }
}

function unexpected(lane: ProducerLane, error: BarnabasError): Violation {
  return new Violation('answers', 'a producer that kept the rules was refused for good', {
    ...{ lane: lane.name, session: lane.session.id, error: error.errorName, message: error.message },
  });
}
