/** The quorum as this controller knows it, in the words of the API: offsets of the log, exclusive. */
import { parseAddress } from '@barnabas/common/config';
import type { internal } from '@barnabas/protocol';
import type { RaftNode, ReplicaStatus } from '@barnabas/raft';
import type { QuorumView } from './metadata-feeds.js';

/**
 * Of a controller that has not joined yet: nothing. `endpoint` is where this controller is reached, which
 * the log may not know yet, if it has moved: others must not be sent where it was.
 */
export function quorumView(raft: Pick<RaftNode, 'status'> | undefined, endpoint?: string): QuorumView {
  const status = raft?.status;
  if (status === undefined) return { leaderId: -1, voters: [] };
  const leads = status.role === 'leader';
  return {
    leaderId: status.leaderId ?? -1,
    get voters() {
      return status.voters.map((voter) => {
        const isSelf = voter.id === status.nodeId && voter.directoryId === status.directoryId;
        return voterMessage(isSelf && endpoint !== undefined ? { ...voter, endpoint } : voter, leads);
      });
    },
  };
}

function voterMessage(
  { id, endpoint, matchIndex, lastContactMs }: ReplicaStatus,
  leads: boolean,
): internal.QuorumVoter {
  const { host, port } = parseAddress(endpoint) ?? { host: endpoint, port: 0 };
  // Only the leader hears from all.
  const logEndOffset = leads ? matchIndex + 1 : -1;
  return { id, host, port, logEndOffset, lastContactMs: leads ? lastContactMs : -1 };
}
