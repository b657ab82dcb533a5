/**
 * `barnabas storage …`: who a node's disk belongs to, before the node runs. A controller's disk also
 * learns here who votes first: everybody who founds a cluster is given the same list, everybody who
 * joins one is given nobody.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { formatAddress } from '@barnabas/common/config';
import { systemRandom } from '@barnabas/common/node';
import { controllerIdentity, formatController } from '@barnabas/controller';
import type { ControllerConfig } from '@barnabas/controller';
import { levelStoreFactory } from '@barnabas/store';
import type { Action } from '../command-context.js';
import { CliError, UsageError } from '../errors.js';
import { generateClusterId } from '../node/cluster-id.js';
import { openDataDirectory, readIdentity } from '../node/data-directory.js';
import { readNodeConfig } from '../node/node-config.js';
import { layersOf } from '../node/node-flags.js';
import type { NodeFlags } from '../node/node-flags.js';
import { chooseRoles } from '../node/role-set.js';

interface FormatFlags extends NodeFlags {
  readonly clusterId: string;
  readonly role?: readonly string[];
  readonly standalone?: boolean;
  /** False: --no-initial-controllers. */
  readonly initialControllers?: readonly Founder[] | false;
  readonly ignoreFormatted?: boolean;
}

interface Founder {
  readonly id: number;
  readonly endpoint: string;
  readonly directoryId?: string;
}

export const format: Action<FormatFlags> = async (context, _args, flags) => {
  const roles = chooseRoles(flags.role ?? ['controller']);
  const directory = openDataDirectory(flags.dataDir);
  try {
    const config = await readNodeConfig({
      // What else its roles need, they say when it starts.
      roles: roles.filter((role) => role === 'controller'),
      layers: layersOf(flags, context.terminal.environment),
      dataDir: directory.path,
      stored: directory.identity,
      newClusterId: () => flags.clusterId,
    });
    const isNew = directory.identity === undefined;
    // Before the directory is claimed: a mistake here must leave it as it was.
    const founders = config.controller === undefined ? [] : foundersOf(config.controller, flags);
    directory.claim({ clusterId: flags.clusterId, nodeId: config.nodeId });
    const formatted =
      config.controller === undefined
        ? undefined
        : await formatController({
            store: levelStoreFactory,
            directory: config.controller['metadata.log.dir'],
            clusterId: flags.clusterId,
            nodeId: config.nodeId,
            initialVoters: founders,
            random: systemRandom,
          });
    const isOld = formatted === undefined ? !isNew : formatted.isOld;
    if (isOld && flags.ignoreFormatted !== true) throw formattedAlready(directory.path);
    const directoryId = formatted?.directoryId;
    if (context.json) {
      context.output.json({
        directory: directory.path,
        clusterId: flags.clusterId,
        nodeId: config.nodeId,
        directoryId,
      });
    } else {
      context.output.line(`formatted ${directory.path} for node ${config.nodeId} of cluster ${flags.clusterId}`);
      if (directoryId !== undefined) context.output.line(`directory id ${directoryId}`);
    }
    return undefined;
  } finally {
    directory.release();
  }
};

/** Who votes first, as this controller is to be told. */
function foundersOf(config: ControllerConfig, flags: FormatFlags): readonly Founder[] {
  const { standalone = false, initialControllers } = flags;
  const self = config['node.id'];
  if (standalone && initialControllers !== undefined) {
    throw new UsageError('--standalone, --initial-controllers and --no-initial-controllers exclude each other');
  }
  if (standalone) return [{ id: self, endpoint: endpointOf(config), directoryId: generateClusterId() }];
  const configured = config['controller.quorum.voters'] ?? [];
  if (initialControllers === false) {
    const knowsOthers =
      config['controller.quorum.bootstrap.servers'] !== null || configured.some(({ id }) => id !== self);
    if (knowsOthers) return [];
    throw new UsageError('a controller that joins must find the others: set controller.quorum.bootstrap.servers');
  }
  const founders =
    initialControllers ?? configured.map((voter): Founder => ({ id: voter.id, endpoint: formatAddress(voter) }));
  if (initialControllers === undefined && configured.length < 2) {
    throw new UsageError(
      'who votes first? Give --standalone, --initial-controllers id@host:port:directoryId,… with this one in it, or --no-initial-controllers for one that joins',
    );
  }
  if (!founders.some(({ id }) => id === self)) {
    throw new UsageError(
      `controller ${self} is not among the first controllers: give --no-initial-controllers, or correct the list`,
    );
  }
  return founders;
}

/** Where the others will reach it. */
function endpointOf(config: ControllerConfig): string {
  const self = config['controller.quorum.voters']?.find(({ id }) => id === config['node.id']);
  const place = config['controller.advertised.listeners']?.[0] ?? self ?? config['controller.listeners'][0];
  if (place === undefined || place.port === 0 || ['', '0.0.0.0', '::'].includes(place.host)) {
    throw new UsageError(
      'where is this controller reached? Set controller.listeners, or controller.advertised.listeners, to a host and a port',
    );
  }
  return formatAddress(place);
}

function formattedAlready(directory: string): CliError {
  return new CliError(
    `${directory} is formatted already: nothing was changed; see "barnabas storage info", or add --ignore-formatted`,
  );
}

export const info: Action<Pick<NodeFlags, 'dataDir'>> = async (context, _args, { dataDir }) => {
  const root = path.resolve(dataDir);
  const node = readIdentity(root);
  const log = path.join(root, 'controller');
  const controller = existsSync(log) ? await controllerIdentity(levelStoreFactory, log) : undefined;
  if (node === undefined && controller === undefined) {
    throw new CliError(`${root} is not formatted: "barnabas storage format" does that, or the first start of a node`);
  }
  const facts = {
    directory: root,
    clusterId: controller?.clusterId ?? node?.clusterId ?? null,
    nodeId: controller?.nodeId ?? node?.nodeId ?? null,
    directoryId: controller?.directoryId ?? null,
  };
  if (context.json) context.output.json(facts);
  else {
    const shown = { directory: root, cluster: facts.clusterId, node: facts.nodeId, 'directory id': facts.directoryId };
    for (const [what, value] of Object.entries(shown)) {
      context.output.line(`${what.padEnd(14)} ${value ?? 'none'}`);
    }
  }
  return undefined;
};

export const randomUuid: Action<object> = async (context) => {
  const id = generateClusterId();
  if (context.json) context.output.json({ uuid: id });
  else context.output.line(id);
  return undefined;
};
