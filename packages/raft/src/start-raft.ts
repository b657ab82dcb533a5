/** Starts a node: checks what it is given, reads its disk, restores its state machine, and lets it run. */
import { BarnabasError } from '@barnabas/protocol';
import { checkedConfig, ticksOf } from './config.js';
import { RaftCore } from './core/index.js';
import { RaftDriver } from './driver/raft-driver.js';
import { RaftStorage } from './storage/raft-storage.js';
import type { RaftNode, RaftOptions } from './types.js';

/**
 * Resolves when the node has read its disk; the leader is known later. Rejects with
 *   INVALID_CONFIG             settings or voters that cannot be, or another node's disk
 *   INCONSISTENT_CLUSTER_ID    another cluster's disk
 *   KAFKA_STORAGE_ERROR        a damaged disk
 *   whatever the state machine's restore throws
 */
export async function startRaft(options: RaftOptions): Promise<RaftNode> {
  const { nodeId, clusterId, store, transport, stateMachine, random } = options;
  const voters = options.initialVoters ?? [];
  checkVoters(options);
  const config = checkedConfig(options.config);
  const { storage, recovered } = await RaftStorage.open(store, { clusterId, nodeId }, options.logger);
  if (recovered.snapshot.index > 0) await stateMachine.restore(storage.readSnapshot());
  const { tickMs, electionTicks, heartbeatTicks } = ticksOf(config);
  const core = new RaftCore(
    {
      id: nodeId,
      voters: voters.map(({ id }) => id),
      ...{ electionTicks, heartbeatTicks, random },
      maxAppendBytes: config.maxAppendBytes,
      maxInflightAppends: config.maxInflightAppends,
      keepBehindSnapshotBytes: config.keepBehindSnapshotBytes,
    },
    recovered,
  );
  const { clock, timers, logger } = options;
  const parts = { nodeId, voters, core, storage, transport, stateMachine, config, tickMs, clock, timers, logger };
  const driver = new RaftDriver(parts);
  driver.start();
  return driver;
}

function checkVoters({ nodeId, clusterId, initialVoters: voters = [], transport }: RaftOptions): void {
  const ids = voters.map(({ id }) => id);
  if (clusterId === '') throw new BarnabasError('INVALID_CONFIG', 'a cluster id is needed: format the cluster first');
  if (ids.some((id) => !Number.isInteger(id) || id < 0 || id >= 2 ** 31)) {
    throw new BarnabasError('INVALID_CONFIG', `voters have ids from 0 to 2^31-1, not ${ids.join(', ')}`);
  }
  if (new Set(ids).size !== ids.length) {
    throw new BarnabasError('INVALID_CONFIG', `controller.quorum.voters names an id twice: ${ids.join(', ')}`);
  }
  if (!ids.includes(nodeId)) {
    throw new BarnabasError('INVALID_CONFIG', `node ${nodeId} is not in controller.quorum.voters: ${ids.join(', ')}`);
  }
  if (ids.length > 1 && transport === undefined) {
    throw new BarnabasError('INVALID_CONFIG', 'a quorum of several voters needs a transport');
  }
}
