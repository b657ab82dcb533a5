/**
 * Brings a planned fault on a cluster and takes it back. Each fault undoes what it did and nothing
 * else, so that faults may lie over each other. What it is made of (to kill, stop, pause, cut off, slow
 * down) serves runs with other plans too.
 */
import type { ChaosCluster, ChaosNode, Role } from './cluster.js';
import { CLIENTS } from './cluster.js';
import type { FullDisks } from './full-disks.js';
import type { Direction, PlannedFault } from './plan.js';

export interface FaultContext {
  readonly cluster: ChaosCluster;
  /** The broker that leads the partition as far as clients know, or -1. */
  readonly leaderOf: (partition: number) => number;
  readonly partitions: number;
  /** Undefined where disks cannot be filled: such faults are not planned then. */
  readonly disks: FullDisks | undefined;
}

/** A fault that has begun. */
export interface RunningFault {
  /** Whom it befell. */
  readonly victim: string;
  /** Resolves when what can be undone is undone, and processes serve again. */
  undo(): Promise<void>;
}

const SLOW = { delayMs: 150, bytesPerSecond: 200_000 };

export async function begin(fault: PlannedFault, context: FaultContext): Promise<RunningFault | undefined> {
  const { cluster } = context;
  switch (fault.kind) {
    case 'kill-leader':
      return kill(cluster, leader(fault, context));
    case 'kill-broker':
      return kill(cluster, choose(fault, cluster.of('broker')));
    case 'kill-controller':
      return kill(cluster, choose(fault, cluster.of('controller')));
    case 'kill-gateway':
      return kill(cluster, choose(fault, cluster.of('gateway')));
    case 'stop-broker':
      return stop(cluster, leader(fault, context));
    case 'pause-broker':
      return pause([leader(fault, context)]);
    case 'pause-controller':
      return pause([choose(fault, cluster.of('controller'))]);
    case 'pause-gateway':
      return pause([choose(fault, cluster.of('gateway'))]);
    case 'partition-controllers':
      return partition(fault, cluster, leader(fault, context), ['controller']);
    case 'partition-followers':
      return partition(fault, cluster, leader(fault, context), ['broker']);
    case 'partition-all':
      return partition(fault, cluster, leader(fault, context), ['controller', 'broker', 'gateway']);
    case 'partition-controller':
      return partition({ ...fault, withClients: false }, cluster, choose(fault, cluster.of('controller')), [
        'controller',
      ]);
    case 'slow-link':
      return slow(cluster, leader(fault, context));
    case 'disk-full':
      return fillDisk(context, choose(fault, cluster.of('broker')));
    case 'restart-all':
      await cluster.stopAll();
      return { victim: 'all', undo: () => cluster.startAll() };
    case 'kill-all':
      await cluster.killAll();
      return { victim: 'all', undo: () => cluster.startAll() };
  }
}

export function choose<T>({ victim }: Pick<PlannedFault, 'victim'>, from: readonly T[]): T | undefined {
  return from[Math.floor(victim * from.length)];
}

/** The leader of some partition; any broker while there is none. */
function leader(fault: PlannedFault, { cluster, leaderOf, partitions }: FaultContext): ChaosNode | undefined {
  return cluster.broker(leaderOf(Math.floor(fault.victim * partitions))) ?? choose(fault, cluster.of('broker'));
}

export async function kill(cluster: ChaosCluster, node: ChaosNode | undefined): Promise<RunningFault | undefined> {
  if (node === undefined) return undefined;
  await cluster.kill(node);
  return { victim: node.name, undo: () => cluster.startNode(node) };
}

export async function stop(cluster: ChaosCluster, node: ChaosNode | undefined): Promise<RunningFault | undefined> {
  if (node === undefined) return undefined;
  await cluster.stop(node);
  return { victim: node.name, undo: () => cluster.startNode(node) };
}

/** Whatever process can be paused. */
export interface Pausable {
  readonly name: string;
  readonly process: { signal(signal: NodeJS.Signals): void } | undefined;
}

/** All of them, at once. Who has been started anew meanwhile is not touched. */
export function pause(victims: readonly (Pausable | undefined)[]): RunningFault | undefined {
  const paused = victims.flatMap((one) =>
    one?.process === undefined ? [] : [{ name: one.name, process: one.process }],
  );
  if (paused.length === 0 || paused.length < victims.length) return undefined;
  for (const { process } of paused) process.signal('SIGSTOP');
  return {
    victim: paused.map(({ name }) => name).join(' and '),
    undo: () => {
      for (const { process } of paused) process.signal('SIGCONT');
      return Promise.resolve();
    },
  };
}

function partition(
  fault: PlannedFault,
  cluster: ChaosCluster,
  node: ChaosNode | undefined,
  from: readonly Role[],
): RunningFault | undefined {
  if (node === undefined) return undefined;
  const others = cluster.nodes.filter((other) => other !== node && from.includes(other.role)).map(({ name }) => name);
  if (fault.withClients && from.includes('gateway')) others.push(CLIENTS);
  const clients = others.includes(CLIENTS) ? ' and clients' : '';
  return cutOff(fault, cluster, node.name, others, `${from.join('s, ')}s${clients}`);
}

/** The links between the victim and the others, in the fault's direction. */
export function cutOff(
  { direction, withReset }: Pick<PlannedFault, 'direction' | 'withReset'>,
  { network }: ChaosCluster,
  victim: string,
  others: readonly string[],
  fromWhom: string,
): RunningFault {
  const links = others.flatMap((other) =>
    linksOf(direction, victim, other).map(([one, two]) => network.link(one, two)),
  );
  for (const link of links) link.cut();
  const way = direction === 'both' ? '' : `, one way (${direction} it)`;
  return {
    victim: `${victim} from ${fromWhom}${way}`,
    undo: () => {
      if (withReset) for (const other of others) network.reset(victim, other);
      for (const link of links) link.mend();
      network.dialPending();
      return Promise.resolve();
    },
  };
}

function linksOf(direction: Direction, node: string, other: string): readonly (readonly [from: string, to: string])[] {
  const [out, back] = [[node, other] as const, [other, node] as const];
  if (direction === 'both') return [out, back];
  return direction === 'from' ? [out] : [back];
}

export function slow({ network, nodes }: ChaosCluster, node: ChaosNode | undefined): RunningFault | undefined {
  if (node === undefined) return undefined;
  const others = [...nodes.filter((other) => other !== node).map(({ name }) => name), CLIENTS];
  const links = others.flatMap((other) => [network.link(node.name, other), network.link(other, node.name)]);
  for (const link of links) link.slow(SLOW);
  return {
    victim: node.name,
    undo: () => {
      for (const link of links) link.quicken();
      return Promise.resolve();
    },
  };
}

/** A broker whose logs are offline by it is started again, as a person would who has made room. */
async function fillDisk(
  { cluster, disks }: FaultContext,
  node: ChaosNode | undefined,
): Promise<RunningFault | undefined> {
  const process = node?.process;
  if (node === undefined || process === undefined || process.hasExited || disks === undefined) return undefined;
  // The broker may end by itself of it.
  node.isExpectedToEnd = true;
  const dataDir = cluster.dataDirOf(node);
  disks.fill({ dataDir, pid: process.pid });
  return Promise.resolve({
    victim: node.name,
    undo: async () => {
      const isTheSame = node.process === process && !process.hasExited;
      disks.makeRoom({ dataDir, pid: isTheSame ? process.pid : undefined });
      await cluster.stop(node);
      await cluster.startNode(node);
    },
  });
}
