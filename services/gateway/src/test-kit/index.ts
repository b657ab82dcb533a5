/** A gateway in front of a controller and brokers that are tests' own, all in one process. For this service's own tests. */
import { deferred, silentLogger } from '@barnabas/common';
import { PrometheusMetrics, systemClock, systemRandom, systemTimers } from '@barnabas/common/node';
import { BatchBuilder, v1 } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import { createConnector, LocalNetwork, serve } from '@barnabas/rpc';
import type { Connector, Environment, MessageStream, RunningServer } from '@barnabas/rpc';
import { gatewayConfig } from '../config.js';
import { createGateway } from '../gateway.js';
import type { Gateway } from '../gateway.js';
import { FakeBroker } from './fake-broker.js';
import { FakeController } from './fake-controller.js';

export { FakeBroker } from './fake-broker.js';
export { CLUSTER_ID, FakeController } from './fake-controller.js';

const GATEWAY_ADDRESS = 'gateway.invalid:7600';
const CONTROLLER_ADDRESS = 'controller.invalid:7800';

/** A running gateway; `log` and the others are its public API as a client has it. */
export class TestCluster {
  readonly local = new LocalNetwork();
  readonly controller = new FakeController();
  readonly brokers: FakeBroker[] = [];
  readonly metrics = new PrometheusMetrics({ processMetrics: false });
  readonly connector: Connector = createConnector({ local: this.local, clientId: 'test' });
  readonly gateway: Gateway;
  #server: RunningServer | undefined;
  #overGrpc: Connector | undefined;

  constructor(config: Readonly<Record<string, unknown>> = {}) {
    const environment: Environment = {
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom,
      logger: silentLogger,
      metrics: this.metrics,
    };
    this.local.register(CONTROLLER_ADDRESS, this.controller.services);
    this.gateway = createGateway({
      config: gatewayConfig.parse({
        'controller.quorum.voters': `1@${CONTROLLER_ADDRESS}`,
        'http.port': 0,
        ...config,
      }),
      environment,
      connector: createConnector({ local: this.local }),
      metricsPage: this.metrics,
    });
  }

  /** Starts with so many brokers, from id 1. */
  async start(brokers: number): Promise<this> {
    for (let id = 1; id <= brokers; id += 1) this.addBroker(id);
    this.local.register(GATEWAY_ADDRESS, this.gateway.services);
    await this.gateway.start({ host: 'gateway.invalid', port: 7600 });
    return this;
  }

  addBroker(id: number): FakeBroker {
    const broker = new FakeBroker(id);
    this.brokers.push(broker);
    this.revive(broker);
    this.controller.registerBroker(id, `broker-${id}.invalid`, 7700);
    return broker;
  }

  broker(id: number): FakeBroker {
    const broker = this.brokers.find((each) => each.id === id);
    if (broker === undefined) throw new Error(`there is no broker ${id}`);
    return broker;
  }

  /** The broker's process is gone; the controller has not noticed. */
  kill(broker: FakeBroker): void {
    this.local.unregister(`broker-${broker.id}.invalid:7700`);
  }

  revive(broker: FakeBroker): void {
    this.local.register(`broker-${broker.id}.invalid:7700`, broker.services);
  }

  get log() {
    return this.connector.channel(GATEWAY_ADDRESS).client(v1.LogServiceDefinition);
  }

  get metadata() {
    return this.connector.channel(GATEWAY_ADDRESS).client(v1.MetadataServiceDefinition);
  }

  get admin() {
    return this.connector.channel(GATEWAY_ADDRESS).client(v1.AdminServiceDefinition);
  }

  /** The gateway behind a real gRPC server, as a client in another process reaches it. */
  async overGrpc() {
    this.#server ??= await serve({ listen: { host: '127.0.0.1', port: 0 }, services: this.gateway.services });
    this.#overGrpc ??= createConnector();
    return this.#overGrpc.channel(`127.0.0.1:${this.#server.port}`).client(v1.LogServiceDefinition);
  }

  async close(): Promise<void> {
    this.connector.close();
    this.#overGrpc?.close();
    await this.gateway.stop(0);
    await this.#server?.stop(0);
  }
}

/** A batch of records with these values. */
export function batchOf(...values: readonly (string | Buffer)[]): Buffer {
  const builder = new BatchBuilder({ compression: 'none', maxBytes: 10_000_000, maxBatchBytes: 10_000_000 });
  for (const value of values) builder.tryAppend({ key: null, value: Buffer.from(value), headers: [], timestamp: 1000 });
  return builder.build();
}

export function batchEntry(topic: string, partition: number | undefined, batch: Buffer): v1.ProduceEntry {
  return { topic, partition, payload: { $case: 'batch', batch } };
}

export function recordsEntry(
  topic: string,
  values: readonly string[],
  more: Partial<v1.Record> & { partition?: number } = {},
) {
  const { partition, ...record } = more;
  const records = values.map((value) => v1.Record.create({ value: Buffer.from(value), ...record }));
  return { topic, partition, payload: { $case: 'records' as const, records: { records } } };
}

export function request(...entries: v1.ProduceEntry[]): v1.ProduceRequest {
  return { acks: v1.Acks.ALL, timeoutMs: 0, entries };
}

/** Collects what comes on a stream. */
export class Inbox<In, Out> {
  readonly messages: In[] = [];
  readonly #closed = deferred<BarnabasError | undefined>();
  readonly #waiting: { ready: () => boolean; resolve: () => void }[] = [];

  constructor(readonly stream: MessageStream<In, Out>) {
    stream.handle({
      onMessage: (message) => {
        this.messages.push(message);
        for (const waiter of this.#waiting) if (waiter.ready()) waiter.resolve();
      },
      onClose: (error) => this.#closed.resolve(error),
    });
  }

  get closed(): Promise<BarnabasError | undefined> {
    return this.#closed.promise;
  }

  until(ready: () => boolean): Promise<void> {
    return ready() ? Promise.resolve() : new Promise((resolve) => this.#waiting.push({ ready, resolve }));
  }
}

/** Waits for a condition that no event announces to this test. */
export async function eventually(ready: () => boolean): Promise<void> {
  while (!ready()) await new Promise((resolve) => setImmediate(resolve));
}

/** The event loop has gone round often enough for everything in this process to have arrived. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
