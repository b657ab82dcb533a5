/**
 * A client of one cluster: what producers, consumers and admin share, which is connections and
 * metadata. Make one for an application and close it at the end.
 */
import { noMetrics, silentLogger } from '@barnabas/common';
import { systemClock, systemRandom, systemTimers } from '@barnabas/common/node';
import { BarnabasError } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import type { ClientInterceptor, ClientTls, Connector, Environment } from '@barnabas/rpc';
import { Admin } from './admin/admin.js';
import { ClusterRouter } from './cluster/cluster-router.js';
import { MetadataCache } from './cluster/metadata-cache.js';
import { NodePool } from './cluster/node-pool.js';
import { Consumer } from './consumer/consumer.js';
import { resolveClientOptions } from './options/client-options.js';
import type { ClientOptions } from './options/client-options.js';
import type { ConsumerOptions } from './options/consumer-options.js';
import type { ProducerOptions } from './options/producer-options.js';
import { Producer } from './producer/producer.js';

export class BarnabasClient {
  /** What a gateway or a tool builds on. */
  readonly router: ClusterRouter;
  readonly #clientId: string;
  readonly #connector: Connector;
  readonly #ownsConnector: boolean;
  readonly #pool: NodePool;
  readonly #metadata: MetadataCache;
  readonly #producers = new Set<Producer>();
  readonly #consumers = new Set<Consumer>();
  /** Timers of the environment keep no process alive, and between two connections nothing else would. */
  readonly #hold: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(given: ClientOptions) {
    const { bootstrap, connector, clientId, interceptors, tls, environment, ...options } = resolveClientOptions(given);
    const surroundings = environment ?? systemEnvironment();
    this.#clientId = clientId ?? '';
    this.#connector = connector ?? createConnector({ clientId, interceptors, tls, logger: surroundings.logger });
    this.#ownsConnector = connector === undefined;
    this.#pool = new NodePool({ bootstrap, connector: this.#connector, environment: surroundings, options });
    const parts = { pool: this.#pool, environment: surroundings, options };
    this.#metadata = new MetadataCache({ ...parts, topics: 'asked' });
    this.router = new ClusterRouter({ ...parts, view: this.#metadata });
    this.#metadata.start();
    this.#hold = environment === undefined ? setInterval(() => undefined, HOLD_MS) : undefined;
  }

  producer(options: ProducerOptions = {}): Producer {
    this.#checkOpen();
    const producer: Producer = new Producer(this.router, options, () => this.#producers.delete(producer));
    this.#producers.add(producer);
    return producer;
  }

  consumer(options: ConsumerOptions = {}): Consumer {
    this.#checkOpen();
    const consumer: Consumer = new Consumer(this.router, options, {
      clientId: this.#clientId,
      onClosed: () => this.#consumers.delete(consumer),
    });
    this.#consumers.add(consumer);
    return consumer;
  }

  admin(): Admin {
    this.#checkOpen();
    return new Admin(this.router);
  }

  /** Closes producers (after their records are acknowledged, for at most `timeoutMs`), consumers and connections. */
  close(timeoutMs?: number): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  async #close(timeoutMs: number | undefined): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.close(timeoutMs)));
    await Promise.all([...this.#producers].map((producer) => producer.close(timeoutMs)));
    this.router.close();
    this.#metadata.close();
    this.#pool.close();
    if (this.#ownsConnector) this.#connector.close();
    clearInterval(this.#hold);
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new BarnabasError('INVALID_REQUEST', 'the client is closed');
  }
}

const HOLD_MS = 60_000;

function systemEnvironment(): Environment {
  return {
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    logger: silentLogger,
    metrics: noMetrics,
  };
}

export type { ClientInterceptor, ClientTls, Connector, Environment };
