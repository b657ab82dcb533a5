/** A partition as the runtime has it: with the tokens of those who wait for answers. */
import type { Partition, ProduceOutcome } from '../core/index.js';

/** Who sent a produce entry. */
export interface ProduceToken {
  /** The entry's one answer. */
  answer(outcome: ProduceOutcome): void;
  /** The log has taken the batches; `written` will follow. */
  appended(): void;
  /** The batches no longer wait for the disk. */
  written(): void;
}

export type ReplicaPartition = Partition<ProduceToken>;
