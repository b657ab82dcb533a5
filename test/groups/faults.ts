/** What a run of the groups harness breaks, and how it is mended. Nodes are chaos' business: test/chaos/faults.ts. */
import { begin } from '../chaos/faults.js';
import type { FaultContext, RunningFault } from '../chaos/faults.js';
import type { ChaosNode } from '../chaos/cluster.js';
import type { PlannedFault } from '../chaos/plan.js';
import type { Fleet, Seat } from './fleet.js';

export const GROUP_FAULT_KINDS = [
  'kill-member',
  'stop-member',
  'kill-gateway',
  'stop-gateway',
  'kill-leader',
  'kill-coordinator',
  'stop-broker',
] as const;
export type GroupFaultKind = (typeof GROUP_FAULT_KINDS)[number];

/** What each does, for people. */
export const GROUP_FAULTS: Readonly<Record<GroupFaultKind, string>> = {
  'kill-member': 'kill -9 of a member; another process takes its seat',
  'stop-member': 'a member is told to leave (SIGTERM), and another process takes its seat',
  'kill-gateway': 'kill -9 of a gateway',
  'stop-gateway': 'a gateway is stopped in good order and started again',
  'kill-leader': 'kill -9 of the broker that leads a partition',
  'kill-coordinator': 'kill -9 of the broker that coordinates the group',
  'stop-broker': 'a broker is stopped in good order (controlled shutdown) and started again',
};

export interface GroupFaultContext extends FaultContext {
  readonly fleet: Fleet;
  /** Broker id, or -1. */
  readonly coordinator: () => number;
}

/** A fault that has begun, and the node that is down by it. */
export interface RunningGroupFault extends RunningFault {
  readonly node: string | undefined;
}

export async function beginGroupFault(
  fault: PlannedFault<GroupFaultKind>,
  context: GroupFaultContext,
): Promise<RunningGroupFault | undefined> {
  const { cluster, fleet } = context;
  const { kind } = fault;
  switch (kind) {
    case 'kill-member':
      return replace(fleet, choose(fault, fleet.seats), (seat) => fleet.kill(seat));
    case 'stop-member':
      return replace(fleet, choose(fault, fleet.seats), (seat) => fleet.stop(seat));
    case 'stop-gateway':
      return nodeDown(context, choose(fault, cluster.of('gateway')), (node) => cluster.stop(node));
    case 'kill-coordinator':
      return nodeDown(context, cluster.broker(context.coordinator()), (node) => cluster.kill(node));
    default: {
      const begun = await begin({ ...fault, kind }, context);
      return begun === undefined ? undefined : { ...begun, node: begun.victim };
    }
  }
}

function choose<T>({ victim }: { readonly victim: number }, all: readonly T[]): T | undefined {
  return all[Math.floor(victim * all.length)];
}

async function replace(
  fleet: Fleet,
  seat: Seat | undefined,
  end: (seat: Seat) => Promise<void>,
): Promise<RunningGroupFault | undefined> {
  if (seat === undefined) return undefined;
  const victim = seat.memberName;
  await end(seat);
  const undo = () => {
    fleet.start(seat);
    return Promise.resolve();
  };
  return { victim, node: undefined, undo };
}

async function nodeDown(
  { cluster }: GroupFaultContext,
  node: ChaosNode | undefined,
  end: (node: ChaosNode) => Promise<void>,
): Promise<RunningGroupFault | undefined> {
  if (node === undefined) return undefined;
  await end(node);
  return { victim: node.name, node: node.name, undo: () => cluster.startNode(node) };
}
