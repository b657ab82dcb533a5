/**
 * Kafka's RackAwareReplicaSelector (KIP-392): a reader that says in which rack it stands is sent to a
 * replica there, if there is one in sync that has what it wants; the one that has most, if there are several.
 */
import type { ReplicaPartition } from '../runtime/replica-driver.js';

export interface ReadReplicaSelector {
  /** Whom to read from instead of this leader, from the offset on; undefined: nobody else. */
  preferred(partition: ReplicaPartition, rack: string, offset: number): number | undefined;
}

export interface Racks {
  readonly nodeId: number;
  /** Where a broker stands; undefined if it does not serve, empty if it has not said. */
  readonly rackOf: (brokerId: number) => string | undefined;
}

export function rackAwareSelector({ nodeId, rackOf }: Racks): ReadReplicaSelector {
  return {
    preferred(partition, rack, offset) {
      if (rack === '' || rackOf(nodeId) === rack || partition.leading === undefined) return undefined;
      let best: number | undefined;
      let most = -1;
      for (const { brokerId, logEndOffset } of partition.leading.followers()) {
        // It knows of less than it has; the leader's watermark bounds what it will serve.
        if (logEndOffset < offset || logEndOffset <= most || !partition.isr.includes(brokerId)) continue;
        if (rackOf(brokerId) !== rack) continue;
        best = brokerId;
        most = logEndOffset;
      }
      return best;
    },
  };
}
