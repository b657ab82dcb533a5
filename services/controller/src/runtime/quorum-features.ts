/** What the controllers of the quorum support, asked of each: one that does not answer supports nothing. */
import { SUPPORTED_FEATURES, featuresFrom } from '@barnabas/metadata';
import { internal } from '@barnabas/protocol';
import type { RaftNode } from '@barnabas/raft';
import type { Connector } from '@barnabas/rpc';
import type { ControllerFeatures } from '../core/index.js';

/** Answered from memory: a controller that takes longer is as good as gone. */
const TIMEOUT_MS = 2_000;

export async function featuresOfQuorum(
  raft: Pick<RaftNode, 'status'> | undefined,
  connector: Connector,
): Promise<readonly ControllerFeatures[]> {
  const { voters = [], nodeId } = raft?.status ?? {};
  return Promise.all(
    voters.map(async ({ id, endpoint }): Promise<ControllerFeatures> => {
      if (id === nodeId) return { id, supported: SUPPORTED_FEATURES };
      const client = connector.channel(endpoint).client(internal.ControllerServiceDefinition);
      try {
        const { features } = await client.describeQuorum({}, { timeoutMs: TIMEOUT_MS });
        return { id, supported: featuresFrom(features) };
      } catch {
        return { id, supported: undefined };
      }
    }),
  );
}
