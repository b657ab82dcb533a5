/** What the flags, the environment and the file of a node say of its configuration, the weakest first. */
import { formatAddress, fromAssignments, fromEnvironment } from '@barnabas/common/config';
import type { ConfigLayer } from '@barnabas/common/config';
import { loadYaml } from '@barnabas/common/node';
import { KNOWN_KEYS } from './node-config.js';

export interface NodeFlags {
  readonly config?: string;
  readonly dataDir: string;
  readonly host?: string;
  readonly port?: number;
  readonly httpPort?: number;
  readonly brokerPort?: number;
  readonly controllerPort?: number;
  readonly nodeId?: number;
  readonly clusterId?: string;
  readonly set?: readonly string[];
}

/** Variables of the command line, which are no configuration keys. */
const COMMAND_LINE_VARIABLES = ['BARNABAS_BOOTSTRAP', 'BARNABAS_DEBUG'];

export function layersOf(
  flags: NodeFlags,
  environment: Readonly<Record<string, string | undefined>>,
): readonly ConfigLayer[] {
  return [
    ...(flags.config === undefined ? [] : [loadYaml(flags.config)]),
    fromEnvironment(environment, KNOWN_KEYS, COMMAND_LINE_VARIABLES),
    flagLayer(flags),
    // Last, so that it wins over the flags that are short for a key.
    fromAssignments(flags.set ?? []),
  ];
}

/** Flags that are short for a configuration key. A host or a port alone leaves the other at its default. */
function flagLayer(flags: NodeFlags): ConfigLayer {
  const listener = (name: string, port: number | undefined, usualPort: number) => {
    if (port === undefined && flags.host === undefined) return undefined;
    return `${name}://${formatAddress({ host: flags.host ?? '127.0.0.1', port: port ?? usualPort })}`;
  };
  return {
    source: 'flag',
    values: {
      'node.id': flags.nodeId,
      'cluster.id': flags.clusterId,
      'gateway.listeners': listener('CLIENT', flags.port, 7600),
      'http.host': flags.host,
      'http.port': flags.httpPort,
      listeners: listener('CLIENT', flags.brokerPort, 7700),
      'controller.listeners': listener('CONTROLLER', flags.controllerPort, 7800),
    },
    where: () => 'flags',
  };
}
