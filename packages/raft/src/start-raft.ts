/** Starts a node: checks what it is given, formats a new disk, reads it, restores the state machine, and lets it run. */
import { BarnabasError } from '@barnabas/protocol';
import { checkedConfig, ticksOf } from './config.js';
import { isPlainText, RaftCore, Rules } from './core/index.js';
import { RaftDriver } from './driver/raft-driver.js';
import { formatStore } from './storage/format.js';
import { RaftStorage } from './storage/raft-storage.js';
import { readIdentity } from './storage/recovery.js';
import type { RaftNode, RaftOptions } from './types.js';

/** For the simulator alone: parts of a node that it breaks to see its checkers find that. */
export interface RaftParts {
  readonly rules?: Rules;
}

/**
 * Resolves when the node has read its disk; the leader is known later. Rejects with
 *   INVALID_CONFIG             settings or voters that cannot be, or another node's disk
 *   INCONSISTENT_CLUSTER_ID    another cluster's disk
 *   UNSUPPORTED_VERSION        a disk that another version has written
 *   KAFKA_STORAGE_ERROR        a damaged disk
 *   whatever the state machine's restore throws
 */
export async function startRaft(options: RaftOptions, parts: RaftParts = {}): Promise<RaftNode> {
  const { nodeId, clusterId, endpoint, store, transport, stateMachine, random } = options;
  const config = checkedConfig(options.config);
  if (endpoint === '' || !isPlainText(endpoint)) {
    throw new BarnabasError('INVALID_CONFIG', `a node is reached at host:port, not ${endpoint}`);
  }
  if ((await readIdentity(store)) === undefined) {
    await formatStore(store, { nodeId, clusterId, random, initialVoters: options.initialVoters ?? [] });
  }
  const { storage, recovered } = await RaftStorage.open(store, { clusterId, nodeId }, options.logger);
  const { directoryId } = storage.identity;
  if (recovered.snapshot.index > 0) await stateMachine.restore(storage.readSnapshot());
  const { tickMs, electionTicks, heartbeatTicks } = ticksOf(config);
  const core = new RaftCore(
    {
      ...{ id: nodeId, directoryId, electionTicks, heartbeatTicks, random },
      maxAppendBytes: config.maxAppendBytes,
      maxInflightAppends: config.maxInflightAppends,
      maxInflightBytes: config.maxInflightBytes,
      keepBehindSnapshotBytes: config.keepBehindSnapshotBytes,
      leaseDriftTicks: config.leaseClockDriftMs === 0 ? undefined : Math.ceil(config.leaseClockDriftMs / tickMs),
    },
    recovered,
    parts.rules ?? new Rules(),
  );
  const isAlone = core.status.configuration.voters.length === 1;
  if (transport === undefined && !isAlone) {
    throw new BarnabasError('INVALID_CONFIG', 'a node that is not the only voter needs a transport');
  }
  const { clock, timers, logger, bootstrapServers = [] } = options;
  const driver = new RaftDriver({
    ...{ clusterId, self: { id: nodeId, directoryId, endpoint }, bootstrapServers },
    ...{ core, storage, transport, stateMachine, config, tickMs, clock, timers, logger },
  });
  driver.start();
  return driver;
}
