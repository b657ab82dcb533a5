/**
 * A steady load of metadata changes and linearizable queries on three controllers, and the record of
 * what every caller was told: topics created, the retention of a few topics written and read.
 *
 * Moments are numbers of one counter in this process: a call is invoked before it leaves and has ended
 * once its answer is here, so their order is one of real time.
 */
import { BarnabasError, internal, v1 } from '@barnabas/protocol';
import type { RegisterOperation } from '@barnabas/sim/linearizability';
import type { Controllers } from './controllers.js';

const REGISTERS = ['r0', 'r1', 'r2', 'r3'];
const KEY = 'retention.ms';
const FIRST_VALUE = 1_000_000;
/** Short, so that whoever has asked a leader that stands still soon asks the next one. */
const CALL_TIMEOUT_MS = 2_000;
/** After these nothing has happened. */
const SURELY_REFUSED = new Set(['NOT_CONTROLLER', 'THROTTLING_QUOTA_EXCEEDED']);

interface Recorded {
  readonly operation: { -readonly [K in keyof RegisterOperation]: RegisterOperation[K] };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const topic = (name: string) => ({ type: v1.ConfigResourceType.TOPIC, name });

export class Workload {
  readonly acknowledgedTopics: string[] = [];
  readonly faults: string[] = [];
  #recorded: Recorded[] = [];
  #moment = 0;
  #made = 0;
  #acknowledged = 0;
  #answered = 0;
  #running = true;
  #leaderId = 1;
  #lanes: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly controllers: Controllers,
    private readonly pick: (bound: number) => number,
  ) {}

  /** Changes acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Queries answered so far. */
  get answered(): number {
    return this.#answered;
  }

  /** Reads without an answer say nothing. */
  get history(): readonly RegisterOperation[] {
    return this.#recorded
      .map(({ operation }) => operation)
      .filter(({ action, endedAt }) => action.type === 'write' || endedAt !== undefined);
  }

  /** Registers a broker that exists on paper, so that topics have a place, and creates the topics whose retention is read. */
  async prepare(): Promise<void> {
    this.#leaderId = (await this.controllers.leader()).leaderId;
    const channel = this.controllers.connector.channel(this.controllers.address(this.#leaderId));
    const brokers = channel.client(internal.ControllerServiceDefinition);
    const { brokerEpoch } = await brokers.registerBroker(
      internal.RegisterBrokerRequest.create({
        brokerId: 100,
        incarnationId: 'AAAAAAAAQAAAgAAAAAAAAA',
        endpoints: [{ name: 'CLIENT', host: '127.0.0.1', port: 1 }],
        previousBrokerEpoch: -1,
        features: [{ name: 'metadata.version', minLevel: 1, maxLevel: 1_000 }],
      }),
    );
    await brokers.brokerHeartbeat(
      internal.BrokerHeartbeatRequest.create({ brokerId: 100, brokerEpoch, metadataOffset: 1_000_000 }),
    );
    for (const name of REGISTERS) await this.#create(name);
  }

  start(lanes: { readonly writers: number; readonly readers: number; readonly creators: number }): void {
    const many = (count: number, step: () => Promise<void>) => Array.from({ length: count }, () => this.#lane(step));
    this.#lanes = Promise.all([
      ...many(lanes.writers, () => this.#write()),
      ...many(lanes.readers, () => this.#read()),
      ...many(lanes.creators, () => this.#create(`t${this.#made++}`)),
    ]);
  }

  async finish(): Promise<void> {
    this.#running = false;
    await this.#lanes;
  }

  /** Who leads now. Whoever is refused goes looking by itself. */
  turnTo(leaderId: number): void {
    this.#leaderId = leaderId;
  }

  /** Resolves when so many changes more have been acknowledged. */
  async progress(changes: number): Promise<void> {
    const goal = this.#acknowledged + changes;
    while (this.#acknowledged < goal) await sleep(5);
  }

  /** One query at one controller, recorded like any other. True if it was answered. */
  async readAt(id: number, timeoutMs: number): Promise<boolean> {
    const register = REGISTERS[this.pick(REGISTERS.length)] ?? '';
    const recorded = this.#invoke({ type: 'read', register, value: undefined });
    const { results } = await this.controllers
      .admin(id)
      .describeConfigs(v1.DescribeConfigsRequest.create({ resources: [topic(register)], keys: [KEY] }), { timeoutMs });
    const [result] = results;
    const entry = result?.entries.find(({ key }) => key === KEY);
    if (result?.error !== undefined || entry === undefined) throw new Error(`no answer for ${register}`);
    const isSet = entry.source === v1.ConfigSource.DYNAMIC_TOPIC_CONFIG;
    recorded.operation.action = { type: 'read', register, value: isSet ? entry.value : undefined };
    recorded.operation.endedAt = this.#moment++;
    this.#answered += 1;
    return true;
  }

  /** Acknowledged topics that are not there. Every controller that answers has to know all of them. */
  async missingTopics(): Promise<string[]> {
    const { leaderId } = await this.controllers.leader();
    const missing: string[] = [];
    for (let at = 0; at < this.acknowledgedTopics.length; at += 1000) {
      const resources = this.acknowledgedTopics.slice(at, at + 1000).map(topic);
      const request = v1.DescribeConfigsRequest.create({ resources, keys: [KEY] });
      const { results } = await this.controllers.admin(leaderId).describeConfigs(request);
      for (const { resource, error } of results) if (error !== undefined) missing.push(resource?.name ?? '');
    }
    return missing;
  }

  async #lane(step: () => Promise<void>): Promise<void> {
    while (this.#running) {
      try {
        await step();
      } catch (error) {
        this.#learnFrom(error);
      }
      await sleep(this.pick(10));
    }
  }

  async #write(): Promise<void> {
    const register = REGISTERS[this.pick(REGISTERS.length)] ?? '';
    const value = String(FIRST_VALUE + this.#made++);
    const recorded = this.#invoke({ type: 'write', register, value });
    const resource = { resource: topic(register), ops: [{ key: KEY, value }] };
    await this.#call(recorded, async () => {
      const request = v1.IncrementalAlterConfigsRequest.create({ resources: [resource] });
      const { results } = await this.#admin().incrementalAlterConfigs(request, { timeoutMs: CALL_TIMEOUT_MS });
      if (results[0]?.error !== undefined) throw new Error(results[0].error.message);
    });
    recorded.operation.endedAt = this.#moment++;
    this.#acknowledged += 1;
  }

  async #read(): Promise<void> {
    // Now and then somebody else than who leads, as far as that is known.
    const ids = this.controllers.ids;
    const id = this.pick(5) === 0 ? (ids[this.pick(ids.length)] ?? 1) : this.#leaderId;
    await this.readAt(id, CALL_TIMEOUT_MS);
  }

  async #create(name: string): Promise<void> {
    const request = v1.CreateTopicsRequest.create({ topics: [v1.NewTopic.create({ name })] });
    const { results } = await this.#admin().createTopics(request, { timeoutMs: CALL_TIMEOUT_MS });
    const { error } = results[0] ?? {};
    if (error !== undefined) throw new Error(`topic ${name} was refused: ${error.message}`);
    this.acknowledgedTopics.push(name);
    this.#acknowledged += 1;
  }

  #admin() {
    return this.controllers.admin(this.#leaderId);
  }

  #invoke(action: RegisterOperation['action']): Recorded {
    const recorded = { operation: { invokedAt: this.#moment++, endedAt: undefined, action } };
    this.#recorded.push(recorded);
    return recorded;
  }

  async #call(recorded: Recorded, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const isRefused = error instanceof BarnabasError && SURELY_REFUSED.has(error.errorName);
      if (isRefused) this.#recorded = this.#recorded.filter((one) => one !== recorded);
      throw error;
    }
  }

  /** Whoever is refused looks elsewhere; an error that is none of a quorum in trouble is a fault. */
  #learnFrom(error: unknown): void {
    if (!(error instanceof BarnabasError)) {
      this.faults.push(String(error));
      return;
    }
    const { ids } = this.controllers;
    this.#leaderId = ids[this.pick(ids.length)] ?? 1;
  }
}
