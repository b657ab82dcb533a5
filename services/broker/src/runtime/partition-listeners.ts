/**
 * Who reads a partition here, or waits for its replicas, and is told of changes. Of a partition that
 * this broker cannot serve any more they are told once, and then of nothing.
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { ReplicaPartition } from './replica-partition.js';

export interface PartitionListener {
  /** The high watermark has moved. */
  onHighWatermark?(): void;
  /** Committed ISR, log starts of followers, or who serves, of a partition led here. */
  onReplicasMoved?(): void;
  /** This broker cannot serve the partition any more; nothing follows. */
  onUnavailable(error: BarnabasError): void;
}

export class PartitionListeners {
  readonly #listeners = new Map<ReplicaPartition, Set<PartitionListener>>();

  /** Tells the listener of changes from now on, until the returned function is called. */
  listen(partition: ReplicaPartition, listener: PartitionListener): () => void {
    const listeners = this.#listeners.get(partition) ?? new Set();
    this.#listeners.set(partition, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(partition) === listeners) this.#listeners.delete(partition);
    };
  }

  highWatermarkMoved(partition: ReplicaPartition): void {
    const listeners = this.#listeners.get(partition);
    if (listeners !== undefined) for (const listener of listeners) listener.onHighWatermark?.();
  }

  replicasMoved(partition: ReplicaPartition): void {
    const listeners = this.#listeners.get(partition);
    if (listeners !== undefined) for (const listener of listeners) listener.onReplicasMoved?.();
  }

  unavailable(partition: ReplicaPartition, error: BarnabasError): void {
    const listeners = this.#listeners.get(partition);
    this.#listeners.delete(partition);
    // A copy: one of them may take others out.
    if (listeners !== undefined) for (const listener of [...listeners]) listener.onUnavailable(error);
  }

  allUnavailable(error: BarnabasError): void {
    for (const partition of [...this.#listeners.keys()]) this.unavailable(partition, error);
  }
}
