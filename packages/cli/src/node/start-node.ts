/**
 * The composition root: makes a running node of roles, a configuration and a data directory. Used by
 * `barnabas start` and by tests that run whole clusters in one process.
 *
 * Owns what the roles of a process share: the environment, the data directory and its lock, the
 * network between co-located roles. Starts nothing that a failed start or stop() would leave behind.
 */
import { createBroker } from '@barnabas/broker';
import { present } from '@barnabas/common';
import type { Logger, Metrics } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import type { Address, ConfigLayer } from '@barnabas/common/config';
import { PrometheusMetrics, systemClock, systemRandom, systemTimers } from '@barnabas/common/node';
import { createController } from '@barnabas/controller';
import { createGateway } from '@barnabas/gateway';
import type { Gateway, MetricsPage } from '@barnabas/gateway';
import { LocalNetwork, createConnector } from '@barnabas/rpc';
import type { Connector, Environment } from '@barnabas/rpc';
import { levelStoreFactory } from '@barnabas/store';
import { generateClusterId } from './cluster-id.js';
import { openDataDirectory } from './data-directory.js';
import type { DataDirectory } from './data-directory.js';
import { readNodeConfig } from './node-config.js';
import type { NodeConfig } from './node-config.js';
import { RoleRunner } from './role-runner.js';
import type { RoleSetup } from './role-runner.js';
import { ROLES } from './role-set.js';
import type { RoleName } from './role-set.js';

export interface NodeOptions {
  /** All three unless told otherwise. */
  readonly roles?: readonly RoleName[];
  readonly dataDir: string;
  /** Values by key, which win over everything in `layers`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** File, environment and flags. */
  readonly layers?: readonly ConfigLayer[];
  readonly logger: Logger;
  /** What GET /metrics shows; the process's own metrics are in it unless another is given. */
  readonly metrics?: Metrics & MetricsPage;
  /** Aborted: a start that is under way ends, with everything that it has begun. Does nothing once the node serves. */
  readonly signal?: AbortSignal;
}

export interface RunningNode {
  readonly nodeId: number;
  /** Undefined for a node that was not told: its controllers know. */
  readonly clusterId: string | undefined;
  readonly dataDir: string;
  /** Where each role's gRPC server listens. */
  readonly addresses: ReadonlyMap<RoleName, Address>;
  /** Where the gateway serves HTTP. */
  readonly http: Address | undefined;
  /** Where clients begin: the gateway, or the broker if there is none; undefined for a controller alone. */
  readonly bootstrap: string | undefined;
  /** Rejects with the first fault of a role, after which the node must be stopped. Never resolves. */
  readonly failed: Promise<never>;
  /** Stops everything within `graceMs` and gives the data directory free. */
  stop(graceMs: number): Promise<void>;
}

/** Resolves when every role serves. */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const roles = ROLES.filter((role) => (options.roles ?? ROLES).includes(role));
  // A gateway keeps nothing, so any number of them may be started in one place.
  const keepsData = roles.some((role) => role !== 'gateway');
  const directory = keepsData ? openDataDirectory(options.dataDir) : undefined;
  try {
    return await startRoles(options, roles, directory);
  } catch (error) {
    directory?.release();
    throw error;
  }
}

async function startRoles(
  options: NodeOptions,
  roles: readonly RoleName[],
  directory: DataDirectory | undefined,
): Promise<RunningNode> {
  const dataDir = directory?.path ?? options.dataDir;
  const config = await readNodeConfig({
    roles,
    layers: [...(options.layers ?? []), { source: 'flag', values: options.config ?? {} }],
    dataDir,
    stored: directory?.identity,
    newClusterId: generateClusterId,
  });
  directory?.claim({ clusterId: config.clusterId, nodeId: config.nodeId });

  const metrics = options.metrics ?? new PrometheusMetrics({ processMetrics: true });
  const environment = createEnvironment(options.logger, metrics);
  const local = new LocalNetwork();
  const { logger } = environment;
  const connector = createConnector({ local, clientId: `node-${config.nodeId}`, logger });
  const made: { gateway?: Gateway } = {};
  const parts: NodeParts = { config, environment, metrics, connector, made };
  const setups = roles.map((role) => setupOf(role, parts));
  const runner = new RoleRunner({ setups, local, logger, clock: environment.clock });
  try {
    await runner.start(options.signal);
  } catch (error) {
    connector.close();
    throw error;
  }
  const { addresses } = runner;
  const front = addresses.get('gateway') ?? addresses.get('broker');
  const httpPort = made.gateway?.httpPort;
  return {
    nodeId: config.nodeId,
    clusterId: config.clusterId,
    dataDir,
    addresses,
    http: httpPort === undefined ? undefined : { host: config.gateway?.['http.host'] ?? '', port: httpPort },
    bootstrap: front === undefined ? undefined : formatAddress(reachable(front)),
    failed: runner.failed,
    async stop(graceMs) {
      await runner.stop(graceMs);
      connector.close();
      directory?.release();
    },
  };
}

function createEnvironment(logger: Logger, metrics: Metrics): Environment {
  return { clock: systemClock, timers: systemTimers, random: systemRandom, logger, metrics };
}

interface NodeParts {
  readonly config: NodeConfig;
  readonly environment: Environment;
  readonly metrics: MetricsPage;
  readonly connector: Connector;
  /** The gateway, once it is made: it alone has an address besides its gRPC one. */
  readonly made: { gateway?: Gateway };
}

function setupOf(name: RoleName, parts: NodeParts): RoleSetup {
  switch (name) {
    case 'controller':
      return controllerSetup(parts);
    case 'broker':
      return brokerSetup(parts);
    case 'gateway':
      return gatewaySetup(parts);
  }
}

function controllerSetup({ config, environment, connector }: NodeParts): RoleSetup {
  const own = present(config.controller, 'the configuration of a controller');
  const self = [
    ...(own['controller.quorum.voters'] ?? []).filter((voter) => voter.id === own['node.id']),
    ...(own['controller.advertised.listeners'] ?? []),
  ];
  return {
    name: 'controller',
    listen: own['controller.listeners'],
    portSetting: '--controller-port',
    create: () => createController({ config: own, environment, connector, store: levelStoreFactory }),
    aliases: self.map(formatAddress),
  };
}

function brokerSetup({ config, environment, connector }: NodeParts): RoleSetup {
  const own = present(config.broker, 'the configuration of a broker');
  return {
    name: 'broker',
    listen: own.listeners,
    portSetting: '--broker-port',
    create: () => createBroker({ config: own, environment, connector }),
    aliases: (own['advertised.listeners'] ?? []).map(formatAddress),
  };
}

function gatewaySetup({ config, environment, metrics, connector, made }: NodeParts): RoleSetup {
  const own = present(config.gateway, 'the configuration of a gateway');
  return {
    name: 'gateway',
    listen: own['gateway.listeners'],
    portSetting: '--port',
    create: () => {
      made.gateway = createGateway({ config: own, environment, connector, metricsPage: metrics });
      return made.gateway;
    },
    aliases: [],
  };
}

/** "Every interface" is no address to connect to; this machine's own is. */
function reachable({ host, port }: Address): Address {
  return { host: host === '' || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host, port };
}
