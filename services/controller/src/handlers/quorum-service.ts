/**
 * The part of barnabas.v1.AdminService on a controller that is about the quorum itself. Only its leader
 * answers: others refuse with NOT_CONTROLLER, with the leader in the message.
 *
 * DescribeQuorum            the leader's view, behind a read barrier: one that has been deposed does not
 *                           answer as if it led still
 * AddVoter                  DUPLICATE_VOTER, VOTER_NOT_FOUND (no such observer), INVALID_REQUEST (another
 *                           change is under way, a bad address), REQUEST_TIMED_OUT
 * RemoveVoter               VOTER_NOT_FOUND, INVALID_REQUEST (the last one), REQUEST_TIMED_OUT
 * TransferQuorumLeadership  VOTER_NOT_FOUND, INVALID_REQUEST (nobody to hand it to), REQUEST_TIMED_OUT
 */
import { formatAddress, parseAddress } from '@barnabas/common/config';
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { RaftNode, ReplicaKey, ReplicaStatus } from '@barnabas/raft';
import type { CallContext } from '@barnabas/rpc';
import type { ControllerRuntime } from '../runtime/controller-runtime.js';
import { timeoutOf } from './deadline.js';

/** -1 in TransferQuorumLeadership. */
const ANYBODY = -1;

export function quorumHandlers(runtime: ControllerRuntime) {
  return {
    async describeQuorum(): Promise<v1.DescribeQuorumResponse> {
      const raft = leading(runtime);
      await raft.readBarrier();
      return describe(runtime, raft);
    },
    async addVoter(request: v1.AddVoterRequest, context: CallContext): Promise<v1.AddVoterResponse> {
      const raft = leading(runtime);
      const endpoint = endpointOf(request);
      const voter = { ...keyOf(request), ...(endpoint === undefined ? {} : { endpoint }) };
      await raft.addVoter(voter, { timeoutMs: timeoutOf(context, request.timeoutMs) });
      return {};
    },
    async removeVoter(request: v1.RemoveVoterRequest, context: CallContext): Promise<v1.RemoveVoterResponse> {
      await leading(runtime).removeVoter(keyOf(request), { timeoutMs: timeoutOf(context, request.timeoutMs) });
      return {};
    },
    async transferQuorumLeadership(
      { to, timeoutMs }: v1.TransferQuorumLeadershipRequest,
      context: CallContext,
    ): Promise<v1.TransferQuorumLeadershipResponse> {
      const target = to === ANYBODY ? undefined : to;
      const leaderId = await leading(runtime).transferLeadership(target, { timeoutMs: timeoutOf(context, timeoutMs) });
      return { leaderId };
    },
  };
}

function leading(runtime: ControllerRuntime): RaftNode {
  if (runtime.raft?.status.role !== 'leader') throw runtime.notController();
  return runtime.raft;
}

function describe({ timeline }: ControllerRuntime, { status }: RaftNode): v1.DescribeQuorumResponse {
  const replica = (one: ReplicaStatus) => replicaMessage(one, status.lastIndex);
  return {
    clusterId: timeline.committed.clusterId,
    leaderId: status.nodeId,
    leaderEpoch: status.term,
    highWatermark: status.commitIndex + 1,
    snapshotOffset: status.snapshotIndex,
    voters: status.voters.map(replica),
    observers: status.observers.map(replica),
  };
}

function replicaMessage(replica: ReplicaStatus, lastIndex: number): v1.QuorumReplica {
  const { id, directoryId, endpoint, matchIndex, lastContactMs } = replica;
  const { host, port } = parseAddress(endpoint) ?? { host: endpoint, port: 0 };
  const isKnown = matchIndex >= 0;
  const logEndOffset = isKnown ? matchIndex + 1 : -1;
  const lag = isKnown ? Math.max(0, lastIndex - matchIndex) : -1;
  return { id, directoryId, host, port, logEndOffset, lag, lastContactMs };
}

function keyOf({ id, directoryId }: { readonly id: number; readonly directoryId: string }): ReplicaKey {
  return directoryId === '' ? { id } : { id, directoryId };
}

/** Undefined: where the observer says itself. */
function endpointOf({ host, port }: v1.AddVoterRequest): string | undefined {
  if (host === '' && port === 0) return undefined;
  const endpoint = formatAddress({ host, port });
  const address = parseAddress(endpoint);
  if (address === undefined || address.host === '' || address.port === 0) {
    throw new BarnabasError('INVALID_REQUEST', `${endpoint} is no address of a controller: give host and port`);
  }
  return endpoint;
}
