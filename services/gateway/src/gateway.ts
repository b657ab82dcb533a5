/**
 * The gateway as a role: follows the metadata log, routes the whole public API to leaders, and keeps
 * nothing. Any number of them may run.
 *
 * Start:  follow metadata, serve HTTP (not ready) -> know the cluster -> ready.
 * Stop:   not ready -> end readers, members' streams and watches, read no more of produce streams -> what was taken in
 *         is answered -> break off the rest.
 * A broken invariant, or controllers of another cluster, ends the role (`failed`).
 */
import { BatchForwarder, Producer } from '@barnabas/client';
import type { Acks } from '@barnabas/client';
import { deferred, InvariantError } from '@barnabas/common';
import type { Deferred } from '@barnabas/common';
import { ControllerClient, ControllerDirectory, MetadataFollower } from '@barnabas/metadata/follower';
import { adminForwarder, createMetadataService } from '@barnabas/metadata/service';
import type { MetadataService } from '@barnabas/metadata/service';
import { BarnabasError, v1 } from '@barnabas/protocol';
import { ByteBudget, service } from '@barnabas/rpc';
import type { BoundAddress, Connector, Environment, Role, ServiceRegistration } from '@barnabas/rpc';
import { ServedGroupService, SubscribeMetrics, SubscribeService } from '@barnabas/subscribe';
import { NodeRouting } from '@barnabas/subscribe/cluster';
import type { GatewayConfig } from './config.js';
import { groupRequests } from './group/group-requests.js';
import { startHttpServer } from './http/http-server.js';
import type { HttpServer, MetricsPage } from './http/http-server.js';
import { GatewayLogService } from './log-service.js';
import { GatewayMetrics } from './metrics.js';
import { RecordAppender } from './produce/record-appender.js';

export interface GatewayOptions {
  readonly config: GatewayConfig;
  readonly environment: Environment;
  readonly connector: Connector;
  /** What GET /metrics shows: PrometheusMetrics of @barnabas/common/node is one. */
  readonly metricsPage?: MetricsPage;
}

/** A gateway, and where it serves HTTP. */
export interface Gateway extends Role {
  readonly name: 'gateway';
  /** Undefined before the start. */
  readonly httpPort: number | undefined;
}

export function createGateway(options: GatewayOptions): Gateway {
  return new GatewayRole(options);
}

const ACKS: Readonly<Record<v1.Acks, Acks>> = {
  [v1.Acks.UNSPECIFIED]: 'all',
  [v1.Acks.ALL]: 'all',
  [v1.Acks.LEADER]: 1,
  [v1.Acks.NONE]: 0,
};

class GatewayRole implements Gateway {
  readonly name = 'gateway';
  readonly services: readonly ServiceRegistration[];
  readonly #options: GatewayOptions;
  readonly #environment: Environment;
  readonly #failure: Deferred<never> = deferred<never>();
  readonly #follower: MetadataFollower;
  readonly #metadataService: MetadataService;
  readonly #routing: NodeRouting;
  readonly #forwarder: BatchForwarder;
  readonly #records: RecordAppender;
  readonly #budget: ByteBudget;
  readonly #logService: GatewayLogService;
  readonly #subscribe: SubscribeService;
  #http: HttpServer | undefined;
  #notReady: string | undefined = 'starting';
  #stopping: Promise<void> | undefined;

  constructor(options: GatewayOptions) {
    const { config, connector } = options;
    const logger = options.environment.logger.child({ role: 'gateway' });
    const environment = { ...options.environment, logger };
    const { clock, timers, random } = environment;
    const controllers = ControllerDirectory.of(config);
    this.#options = options;
    this.#environment = environment;
    // Whoever runs the role looks at `failed`; a role that nobody runs must not end the process.
    this.#failure.promise.catch(() => {});

    const controller = new ControllerClient({ connector, controllers, clock, timers, random, logger });
    this.#follower = new MetadataFollower({ connector, controllers, nodeId: -1, timers, random, logger });
    this.#metadataService = createMetadataService({ source: this.#follower, controllers, controller });
    this.#routing = new NodeRouting({
      source: this.#follower,
      controller,
      connector,
      environment,
      requestTimeoutMs: config['request.timeout.ms'],
    });
    const { view, router } = this.#routing;
    this.#follower.addPublisher(view);
    this.#follower.addPublisher(this.#metadataService.publisher);

    this.#forwarder = new BatchForwarder(router, {
      maxInFlight: MAX_IN_FLIGHT,
      maxRequestSize: MAX_FORWARD_BYTES,
      requestTimeoutMs: config['request.timeout.ms'],
    });
    this.#records = new RecordAppender({
      makeSender: (acks) => this.#producer(acks),
      clock,
      hasLogAppendTime: (topic) => view.hasLogAppendTime(topic),
    });
    this.#budget = new ByteBudget(config['queued.max.request.bytes'], config['barnabas.queued.max.stream.bytes']);
    const metrics = new GatewayMetrics(environment.metrics);
    this.#logService = new GatewayLogService({
      produce: { view, forwarder: this.#forwarder, records: this.#records, timers, metrics },
      fetch: {
        router,
        view,
        metrics,
        bufferBytes: config['barnabas.fetch.stream.buffer.bytes'],
        maxSubscriptions: config['barnabas.fetch.max.stream.subscriptions'],
        maxMessageBytes: config['fetch.max.bytes'],
      },
      limits: {
        maxRequestBytes: config['socket.request.max.bytes'],
        maxRecords: config['barnabas.request.max.records'],
      },
      budget: this.#budget,
      metrics,
      onFault: (fault) => this.#fail(fault),
    });
    this.#subscribe = new SubscribeService({
      router,
      metrics: new SubscribeMetrics(environment.metrics, 'gateway'),
      bufferBytes: config['barnabas.fetch.stream.buffer.bytes'],
      maxMessageBytes: config['fetch.max.bytes'],
      onFault: (fault) => this.#fail(fault),
    });
    const groups = { ...groupRequests({ router }), subscribe: this.#subscribe.handler };
    this.services = [
      this.#logService.registration,
      service(ServedGroupService, groups, (fault) => this.#fail(fault)),
      this.#metadataService.registration,
      adminForwarder({ source: this.#follower, controller, connector }),
    ];
  }

  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  get httpPort(): number | undefined {
    return this.#http?.port;
  }

  async start(_bound: BoundAddress): Promise<void> {
    const { config, metricsPage } = this.#options;
    this.#follower.failed.catch((error: unknown) => this.#fail(error));
    this.#follower.start();
    // Meanwhile: probes are to find the gateway from its first moment on.
    const http = await startHttpServer({
      host: config['http.host'],
      port: config['http.port'],
      notReady: () => this.#notReady,
      metricsPage,
    });
    if (this.#stopping !== undefined) {
      await http.close();
      throw stopping();
    }
    this.#http = http;
    await this.#follower.ready;
    if (this.#stopping !== undefined) throw stopping();
    this.#notReady = undefined;
    this.#environment.logger.info('The gateway serves', {
      clusterId: this.#follower.image.clusterId,
      httpPort: http.port,
    });
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#notReady = 'stopping';
    this.#subscribe.stop(stopping());
    this.#logService.stop(stopping());
    this.#metadataService.stop();
    await this.#drained(graceMs);
    await this.#records.close(0);
    this.#forwarder.close();
    this.#routing.close();
    this.#follower.stop();
    await this.#http?.close();
  }

  /** What was taken in is answered, or the grace is over. */
  #drained(graceMs: number): Promise<void> {
    const { timers } = this.#environment;
    return new Promise((resolve) => {
      const limit = timers.after(graceMs, () => {
        stop();
        resolve();
      });
      const stop = this.#budget.whenEmpty(() => {
        limit.cancel();
        resolve();
      });
    });
  }

  #producer(acks: v1.Acks): Producer {
    const { config } = this.#options;
    return new Producer(this.#routing.router, {
      acks: ACKS[acks],
      lingerMs: config['linger.ms'],
      batchSize: config['batch.size'],
      bufferMemory: config['buffer.memory'],
      // A producer takes no limit of 0; no record fits into 1 byte either.
      maxRequestSize: Math.max(1, config['message.max.bytes']),
      compressionType: config['gateway.compression.type'],
      requestTimeoutMs: config['request.timeout.ms'],
      deliveryTimeoutMs: config['delivery.timeout.ms'],
    });
  }

  #fail(error: unknown): void {
    const fault = error instanceof Error ? error : new InvariantError(String(error));
    this.#environment.logger.error('The gateway has a fault and ends', {
      action: 'restart it; if it recurs, report it with this line',
      error: fault,
    });
    this.#failure.reject(fault);
  }
}

/** Requests on their way to one leader at once, of all clients together. */
const MAX_IN_FLIGHT = 32;
/** Batches of several clients that share one request. */
const MAX_FORWARD_BYTES = 1024 * 1024;

function stopping(): BarnabasError {
  return new BarnabasError('BROKER_NOT_AVAILABLE', 'this gateway is stopping: go on at another');
}
