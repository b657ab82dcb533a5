/** A broker over memory disks and the local network, beside a scripted controller. */
import { SeededRandom, silentLogger } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { systemClock, systemTimers } from '@barnabas/common/node';
import { openLogManager } from '@barnabas/log';
import type { LogManager } from '@barnabas/log';
import { v1 } from '@barnabas/protocol';
import { LocalNetwork, createConnector, serve } from '@barnabas/rpc';
import type { Connector, Role, RunningServer, ServiceClient } from '@barnabas/rpc';
import { MemoryStoreFactory } from '@barnabas/store';
import type { MemoryStore } from '@barnabas/store';
import { createBroker } from '../broker.js';
import { brokerConfig } from '../config.js';
import { CountedMetrics } from './counted-metrics.js';
import { CONTROLLER_ADDRESS, ScriptedController } from './scripted-controller.js';

export const BROKER_ADDRESS = '127.0.0.1:2';

export interface TestBrokerOptions {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly disks?: MemoryStoreFactory;
  readonly logger?: Logger;
  /** Of the local network: write() is false from here on. */
  readonly writeHighWaterBytes?: number;
}

export class TestBroker {
  readonly network = new LocalNetwork();
  readonly controller: ScriptedController;
  readonly connector: Connector;
  readonly disks: MemoryStoreFactory;
  readonly role: Role;
  readonly log: ServiceClient<typeof v1.LogServiceDefinition>;
  readonly admin: ServiceClient<typeof v1.AdminServiceDefinition>;
  readonly metadata: ServiceClient<typeof v1.MetadataServiceDefinition>;
  readonly groups: ServiceClient<typeof v1.GroupServiceDefinition>;
  readonly metrics = new CountedMetrics();
  logs: LogManager | undefined;
  #server: RunningServer | undefined;

  constructor(options: TestBrokerOptions = {}) {
    const random = new SeededRandom(1);
    this.disks = options.disks ?? new MemoryStoreFactory();
    this.controller = new ScriptedController(this.network, random);
    this.connector = createConnector({ local: this.network });
    this.role = createBroker({
      config: brokerConfig.parse({
        'node.id': 1,
        'log.dir': 'logs',
        'controller.quorum.voters': `1@${CONTROLLER_ADDRESS}`,
        'broker.heartbeat.interval.ms': 20,
        'initial.broker.registration.timeout.ms': 5000,
        ...options.config,
      }),
      environment: {
        clock: systemClock,
        timers: systemTimers,
        random,
        logger: options.logger ?? silentLogger,
        metrics: this.metrics,
      },
      connector: this.connector,
      openLogs: async (logOptions) => {
        this.logs = await openLogManager({ ...logOptions, factory: this.disks });
        return this.logs;
      },
    });
    const { writeHighWaterBytes } = options;
    const limits = writeHighWaterBytes === undefined ? {} : { limits: { writeHighWaterBytes } };
    this.network.register(BROKER_ADDRESS, this.role.services, limits);
    const channel = this.connector.channel(BROKER_ADDRESS);
    this.log = channel.client(v1.LogServiceDefinition);
    this.admin = channel.client(v1.AdminServiceDefinition);
    this.metadata = channel.client(v1.MetadataServiceDefinition);
    this.groups = channel.client(v1.GroupServiceDefinition);
  }

  static async start(options: TestBrokerOptions = {}): Promise<TestBroker> {
    const broker = new TestBroker(options);
    await broker.role.start({ host: '127.0.0.1', port: 2 });
    return broker;
  }

  /** Serves the same role over gRPC and returns its address. */
  async serveGrpc(): Promise<string> {
    this.#server = await serve({
      listen: { host: '127.0.0.1', port: 0 },
      services: this.role.services,
      logger: silentLogger,
    });
    return `127.0.0.1:${this.#server.port}`;
  }

  /** Creates a topic led by this broker, and waits until the broker knows. */
  async topic(name: string, partitions = 1, config: Readonly<Record<string, string>> = {}): Promise<string> {
    const topicId = this.controller.createTopic(
      name,
      Array.from({ length: partitions }, () => ({ leader: 1 })),
    );
    for (const [key, value] of Object.entries(config)) this.controller.setConfig(name, key, value);
    await this.caughtUp();
    return topicId;
  }

  /** The broker has applied everything that the controller has committed. */
  async caughtUp(): Promise<void> {
    for (;;) {
      const { metadataOffset } = await this.metadata.getMetadata(v1.GetMetadataRequest.create({ brokersOnly: true }));
      if (metadataOffset >= this.controller.records.length) return;
    }
  }

  /** The memory store under a partition's log; its database must be open. */
  store(topicId: string, partition = 0): MemoryStore {
    for (const location of this.disks.locations()) {
      const isIt = location.endsWith(`-${partition}.${topicId}`);
      const store = this.disks.store(location);
      if (isIt && store !== undefined) return store;
    }
    throw new Error(`no open store of ${topicId}-${partition} among ${this.disks.locations().join(', ')}`);
  }

  async stop(graceMs = 1000): Promise<void> {
    await this.role.stop(graceMs);
    await this.#server?.stop(0);
    this.network.unregister(BROKER_ADDRESS);
    this.controller.stop();
    this.connector.close();
  }
}
