/**
 * Brings a planned fault on a cluster and takes it back. Each fault undoes what it did and nothing
 * else, so that faults may lie over each other.
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
      return pause(leader(fault, context));
    case 'pause-controller':
      return pause(choose(fault, cluster.of('controller')));
    case 'pause-gateway':
      return pause(choose(fault, cluster.of('gateway')));
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

function choose({ victim }: PlannedFault, nodes: readonly ChaosNode[]): ChaosNode | undefined {
  return nodes[Math.floor(victim * nodes.length)];
}

/** The leader of some partition; any broker while there is none. */
function leader(fault: PlannedFault, { cluster, leaderOf, partitions }: FaultContext): ChaosNode | undefined {
  return cluster.broker(leaderOf(Math.floor(fault.victim * partitions))) ?? choose(fault, cluster.of('broker'));
}

async function kill(cluster: ChaosCluster, node: ChaosNode | undefined): Promise<RunningFault | undefined> {
  if (node === undefined) return undefined;
  await cluster.kill(node);
  return { victim: node.name, undo: () => cluster.startNode(node) };
}

async function stop(cluster: ChaosCluster, node: ChaosNode | undefined): Promise<RunningFault | undefined> {
  if (node === undefined) return undefined;
  await cluster.stop(node);
  return { victim: node.name, undo: () => cluster.startNode(node) };
}

function pause(node: ChaosNode | undefined): RunningFault | undefined {
  const process = node?.process;
  if (node === undefined || process === undefined) return undefined;
  process.signal('SIGSTOP');
  return {
    victim: node.name,
    undo: () => {
      process.signal('SIGCONT');
      return Promise.resolve();
    },
  };
}

function partition(
  { direction, withClients, withReset }: PlannedFault,
  { network, nodes }: ChaosCluster,
  node: ChaosNode | undefined,
  from: readonly Role[],
): RunningFault | undefined {
  if (node === undefined) return undefined;
  const others = nodes.filter((other) => other !== node && from.includes(other.role)).map(({ name }) => name);
  if (withClients && from.includes('gateway')) others.push(CLIENTS);
  const links = others.flatMap((other) =>
    linksOf(direction, node.name, other).map(([one, two]) => network.link(one, two)),
  );
  for (const link of links) link.cut();
  const way = direction === 'both' ? '' : `, one way (${direction} it)`;
  return {
    victim: `${node.name} from ${from.join('s, ')}s${others.includes(CLIENTS) ? ' and clients' : ''}${way}`,
    undo: () => {
      if (withReset) for (const other of others) network.reset(node.name, other);
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

function slow({ network, nodes }: ChaosCluster, node: ChaosNode | undefined): RunningFault | undefined {
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
