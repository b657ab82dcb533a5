/**
 * What a run of the groups harness breaks, and how it is mended: plain deaths, processes that stand still, and
 * links that are cut or slow. What a fault is made of is chaos' business: test/chaos/faults.ts.
 */
import { begin, choose, cutOff, kill, pause, slow, stop } from '../chaos/faults.js';
import type { FaultContext, RunningFault } from '../chaos/faults.js';
import type { ChaosCluster, ChaosNode } from '../chaos/cluster.js';
import { CLIENTS } from '../chaos/cluster.js';
import type { PlannedFault, Span } from '../chaos/plan.js';
import type { Fleet, Seat } from './fleet.js';

/** Of members: nobody else is broken by them. */
const OF_MEMBERS = ['kill-member', 'stop-member', 'pause-member', 'long-pause-member', 'cut-member'] as const;
/** They need the network to lie between the nodes. */
const OF_LINKS = ['cut-member', 'cut-gateway', 'cut-coordinator', 'slow-gateway', 'slow-link'] as const;

export const GROUP_FAULT_KINDS = [
  'kill-member',
  'stop-member',
  'kill-gateway',
  'stop-gateway',
  'kill-leader',
  'kill-coordinator',
  'stop-broker',
  'pause-member',
  'long-pause-member',
  'pause-member-and-gateway',
  'pause-gateway',
  'pause-broker',
  'pause-coordinator',
  'cut-member',
  'cut-gateway',
  'cut-coordinator',
  'slow-gateway',
  'slow-link',
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
  'pause-member': 'SIGSTOP and SIGCONT of a member; a gateway speaks for it meanwhile',
  'long-pause-member':
    'the same of one behind a gateway, until the gateway has given its client up and the session is over',
  'pause-member-and-gateway': 'a member and the gateway that speaks for it stand still together',
  'pause-gateway': 'SIGSTOP and SIGCONT of a gateway',
  'pause-broker': 'SIGSTOP and SIGCONT of the broker that leads a partition',
  'pause-coordinator': 'SIGSTOP and SIGCONT of the broker that coordinates the group',
  'cut-member': "a member is cut off from the gateways and the coordinator's broker, but not from other brokers",
  'cut-gateway': 'a gateway is cut off from the brokers; members still reach it',
  'cut-coordinator': "the coordinator's broker is cut off from all nodes; members still reach it, or not",
  'slow-gateway': 'the links of a gateway become slow and narrow',
  'slow-link': 'the links of the leader of a partition become slow and narrow',
};

/** Members' sessions are of 6 s: some pauses are shorter, some longer. */
const AROUND_SESSIONS: Span = { least: 500, most: 12_000 };
/** A gateway's ping (20 s) and the wait for its answer (10 s), and a session. */
const BEYOND_PINGS: Span = { least: 37_000, most: 42_000 };

export function durationOf(kind: GroupFaultKind): Span | undefined {
  if (kind === 'long-pause-member') return BEYOND_PINGS;
  return kind.startsWith('pause-') || kind.startsWith('cut-') ? AROUND_SESSIONS : undefined;
}

export const isOfMember = (kind: GroupFaultKind): boolean => OF_MEMBERS.some((one) => one === kind);
export const isOfLink = (kind: GroupFaultKind): boolean => OF_LINKS.some((one) => one === kind);

export interface GroupFaultContext extends FaultContext {
  readonly fleet: Fleet;
  /** Broker id, or -1. */
  readonly coordinator: () => number;
}

export async function beginGroupFault(
  fault: PlannedFault<GroupFaultKind>,
  context: GroupFaultContext,
): Promise<RunningFault | undefined> {
  const { cluster, fleet } = context;
  const { kind } = fault;
  const coordinator = () => cluster.broker(context.coordinator());
  const gateway = () => choose(fault, cluster.of('gateway'));
  const seat = () => choose(fault, fleet.running);
  switch (kind) {
    case 'kill-member':
      return replace(fleet, seat(), (one) => fleet.kill(one));
    case 'stop-member':
      return replace(fleet, seat(), (one) => fleet.stop(one));
    case 'stop-gateway':
      return stop(cluster, gateway());
    case 'kill-coordinator':
      return kill(cluster, coordinator());
    case 'pause-member':
      return hinder(fleet, seat(), (one) => pause([fleet.processOf(one)]));
    case 'long-pause-member': {
      const behindGateways = fleet.running.filter(({ address }) => speakerOf(cluster, address) !== undefined);
      return hinder(fleet, choose(fault, behindGateways), (one) => pause([fleet.processOf(one)]));
    }
    case 'pause-member-and-gateway':
      return hinder(fleet, seat(), (one) => {
        const speaker = speakerOf(cluster, one.address);
        return pause([fleet.processOf(one), ...(speaker === undefined ? [] : [speaker])]);
      });
    case 'pause-coordinator':
      return pause([coordinator()]);
    case 'cut-member':
      return hinder(fleet, seat(), (one) => {
        const nodes = [coordinator(), ...cluster.of('gateway')].flatMap((node) => (node === undefined ? [] : [node]));
        return cutOff(fault, cluster, one.memberName, names(nodes), 'gateways and coordinator');
      });
    case 'cut-gateway':
      return isolate(fault, context, gateway(), cluster.of('broker'), 'brokers');
    case 'cut-coordinator':
      return isolate(fault, context, coordinator(), cluster.nodes, 'all nodes');
    case 'slow-gateway':
      return slow(cluster, gateway());
    default:
      return begin({ ...fault, kind }, context);
  }
}

/** The gateway at the other end of a member's stream; undefined for one that has none. */
function speakerOf(cluster: ChaosCluster, address: string): ChaosNode | undefined {
  return cluster.of('gateway').find((node) => node.isRunning && node.address === address);
}

const names = (all: readonly ChaosNode[]) => all.map(({ name }) => name);

async function replace(
  fleet: Fleet,
  seat: Seat | undefined,
  end: (seat: Seat) => Promise<void>,
): Promise<RunningFault | undefined> {
  if (seat === undefined) return undefined;
  const victim = seat.memberName;
  await end(seat);
  const undo = () => {
    fleet.start(seat);
    return Promise.resolve();
  };
  return { victim, undo };
}

/** The member lives on, and cannot do what members do. */
function hinder(
  fleet: Fleet,
  seat: Seat | undefined,
  how: (seat: Seat) => RunningFault | undefined,
): RunningFault | undefined {
  if (seat === undefined) return undefined;
  const over = fleet.hinder(seat);
  const begun = how(seat);
  if (begun === undefined) {
    over();
    return undefined;
  }
  const undo = async () => {
    await begun.undo();
    over();
  };
  return { victim: begun.victim, undo };
}

/** With `withClients` from members, writers and the observer, too. */
function isolate(
  fault: PlannedFault<GroupFaultKind>,
  { cluster, fleet }: GroupFaultContext,
  node: ChaosNode | undefined,
  from: readonly ChaosNode[],
  fromWhom: string,
): RunningFault | undefined {
  if (node === undefined) return undefined;
  const others = names(from.filter((other) => other !== node));
  if (node.role === 'gateway' || !fault.withClients) return cutOff(fault, cluster, node.name, others, fromWhom);
  const members = fleet.seats.map(({ memberName }) => memberName);
  return cutOff(fault, cluster, node.name, [...others, ...members, CLIENTS], `${fromWhom}, members and clients`);
}
