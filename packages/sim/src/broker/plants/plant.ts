/**
 * A planted bug: the real parts wrapped so that they misbehave as a real bug would make them. Only
 * the simulator can turn one on; each is there to prove that a checker can fail.
 */
import type { ReplicaPartition } from '@barnabas/broker/parts';
import type { LogManager, PartitionLog, TopicPartition } from '@barnabas/log';
import type { StoreFactory } from '@barnabas/store';
import { withOverrides } from '../../kernel/overrides.js';
import type { Need } from '../plan.js';
import type { Surroundings } from '../surroundings.js';

export interface Plant {
  readonly name: string;
  /** The bug, in a sentence. */
  readonly says: string;
  /** Checks of which one must find it. */
  readonly caughtBy: readonly string[];
  /** What a run must have for it to show. */
  readonly needs?: readonly Need[];
  /** The broker's disk. */
  files?(files: StoreFactory, around: Surroundings): StoreFactory;
  /** The broker's logs. */
  logs?(logs: LogManager, around: Surroundings): LogManager;
  /** A partition of the replica manager, looked at after every event. */
  partition?(partition: ReplicaPartition, around: Surroundings): void;
}

/** Logs of which each is wrapped once it is open. */
export function wrapEachLog(
  logs: LogManager,
  wrap: (log: PartitionLog, at: TopicPartition) => PartitionLog,
): LogManager {
  const wrapped = new WeakMap<PartitionLog, PartitionLog>();
  return withOverrides(logs, {
    openLog: async (partition, config) => {
      const log = await logs.openLog(partition, config);
      const known = wrapped.get(log) ?? wrap(log, partition);
      wrapped.set(log, known);
      return known;
    },
  });
}
