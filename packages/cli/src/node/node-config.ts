/**
 * A node's configuration: what its roles need, from flags, environment, file and defaults.
 *
 * Keys of all roles are known to every node, so that one file can serve a whole cluster; each role
 * takes its own. What a node decides for itself (its data directory, addresses of this machine, its
 * own controller as the quorum) lies under every other source.
 */
import path from 'node:path';
import { brokerConfig } from '@barnabas/broker';
import type { BrokerConfig } from '@barnabas/broker';
import { assignLayers, formatAddress } from '@barnabas/common/config';
import type { Assignment, Assignments, ConfigLayer } from '@barnabas/common/config';
import { controllerConfig } from '@barnabas/controller';
import type { ControllerConfig } from '@barnabas/controller';
import { gatewayConfig } from '@barnabas/gateway';
import type { GatewayConfig } from '@barnabas/gateway';
import type { Identity } from './data-directory.js';
import { freePorts } from './free-ports.js';
import type { RoleName } from './role-set.js';

/** Every key that some role knows. */
export const KNOWN_KEYS: ReadonlySet<string> = new Set([
  ...controllerConfig.names,
  ...brokerConfig.names,
  ...gatewayConfig.names,
]);

/** The configuration of each role that this node runs. */
export interface NodeConfig {
  readonly nodeId: number;
  /** Undefined if only the controllers know. */
  readonly clusterId: string | undefined;
  readonly controller: ControllerConfig | undefined;
  readonly broker: BrokerConfig | undefined;
  readonly gateway: GatewayConfig | undefined;
}

export interface NodeConfigOptions {
  readonly roles: readonly RoleName[];
  readonly layers: readonly ConfigLayer[];
  /** Absolute. */
  readonly dataDir: string;
  /** What the data directory says of itself. */
  readonly stored: Identity | undefined;
  /** Names a cluster that this node founds. */
  readonly newClusterId: () => string;
}

const LOCALHOST = '127.0.0.1';
const DEFAULT_NODE_ID = 1;

export async function readNodeConfig(options: NodeConfigOptions): Promise<NodeConfig> {
  const { roles, layers, stored } = options;
  const given = assignLayers([nodeDefaults(options), ...layers], KNOWN_KEYS);
  const assignments = roles.includes('controller') ? await asQuorum(given, options.newClusterId) : given;
  const clusterId = assignments.get('cluster.id')?.value;
  return {
    nodeId: nodeIdOf(assignments) ?? stored?.nodeId ?? DEFAULT_NODE_ID,
    clusterId: typeof clusterId === 'string' && clusterId !== '' ? clusterId : undefined,
    controller: roles.includes('controller') ? controllerConfig.resolve(assignments) : undefined,
    broker: roles.includes('broker') ? brokerConfig.resolve(assignments) : undefined,
    gateway: roles.includes('gateway') ? gatewayConfig.resolve(assignments) : undefined,
  };
}

/** Services listen on this machine only, unless they are told otherwise: nothing protects them yet. */
function nodeDefaults({ dataDir, stored }: NodeConfigOptions): ConfigLayer {
  return {
    source: 'default',
    values: {
      'node.id': stored?.nodeId ?? DEFAULT_NODE_ID,
      'cluster.id': stored?.clusterId,
      'metadata.log.dir': path.join(dataDir, 'controller'),
      'log.dir': path.join(dataDir, 'broker'),
      listeners: `CLIENT://${LOCALHOST}:7700`,
      'gateway.listeners': `CLIENT://${LOCALHOST}:7600`,
    },
  };
}

/**
 * Completes what a controller needs: a node that was told of no others is the whole quorum, and the
 * only controller of a new cluster names it. Its port must be known before it listens, since the
 * other roles of the node find it by the list of voters.
 */
async function asQuorum(given: Assignments, newClusterId: () => string): Promise<Assignments> {
  const assignments = new Map(given);
  // One that joins others is told by them who votes, and by its disk which cluster it is.
  if (given.has('controller.quorum.bootstrap.servers')) return assignments;
  if (!given.has('controller.quorum.voters')) {
    const { 'node.id': id, 'controller.listeners': listeners } = controllerConfig.resolve(given);
    const { name = 'CONTROLLER', host = LOCALHOST, port = 0 } = listeners[0] ?? {};
    const reachable = host === '' || host === '0.0.0.0' || host === '::' ? LOCALHOST : host;
    const fixed = port === 0 ? ((await freePorts(reachable, 1))[0] ?? 0) : port;
    assignments.set('controller.listeners', decided(`${name}://${formatAddress({ host, port: fixed })}`));
    assignments.set('controller.quorum.voters', decided(`${id}@${formatAddress({ host: reachable, port: fixed })}`));
  }
  if (!assignments.has('cluster.id')) {
    const voters = String(assignments.get('controller.quorum.voters')?.value);
    if (!voters.includes(',')) assignments.set('cluster.id', decided(newClusterId()));
  }
  return assignments;
}

function decided(value: string): Assignment {
  return { value, source: 'default', where: undefined };
}

function nodeIdOf(assignments: Assignments): number | undefined {
  const assignment = assignments.get('node.id');
  return assignment === undefined ? undefined : controllerConfig.parseValue('node.id', assignment.value);
}
