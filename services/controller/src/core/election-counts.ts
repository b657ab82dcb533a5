/**
 * Which elections a committed batch holds, for metrics. The log does not say of an election whether it
 * was clean; it shows: a new leader that was in neither ISR nor ELR, while nobody was there who could
 * have taken it into the ISR in the same change (a leader that shuts down, or whose reassignment ends).
 */
import { NO_LEADER } from '@barnabas/metadata';
import type { PartitionImage } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';
import type { CommittedBatch } from './timeline.js';

export interface ElectionCounts {
  /** Partitions that got another leader. */
  readonly elections: number;
  /** Those of them whose leader was not known to hold everything committed. */
  readonly unclean: number;
}

type Leadership = Pick<PartitionImage, 'leader' | 'isr' | 'eligibleLeaderReplicas'>;

export function electionsIn(committed: CommittedBatch): ElectionCounts {
  const replay = new ElectionReplay(committed);
  for (const { record } of committed.batch.records) {
    if (record?.$case === 'partitionChange') replay.partition(record.partitionChange);
    if (record?.$case === 'brokerRegistrationChange') replay.broker(record.brokerRegistrationChange);
    if (record?.$case === 'registerBroker') replay.broker(record.registerBroker);
  }
  return { elections: replay.elections, unclean: replay.unclean };
}

/** Goes through a batch, since one record of it may follow from another. */
class ElectionReplay {
  elections = 0;
  unclean = 0;
  readonly #partitions = new Map<string, Leadership>();
  readonly #fenced = new Map<number, boolean>();

  constructor(private readonly committed: CommittedBatch) {}

  broker({ brokerId, fenced }: { readonly brokerId: number; readonly fenced?: boolean | undefined }): void {
    if (fenced !== undefined) this.#fenced.set(brokerId, fenced);
  }

  partition(record: internal.PartitionChangeRecord): void {
    const { topicId, partition } = record;
    const key = `${partition}/${topicId}`;
    const before = this.#partitions.get(key) ?? this.committed.changes.base.topics.partition(topicId, partition);
    // Created in this batch: whoever leads it holds all of nothing.
    if (before === undefined) return;
    const { leader = before.leader } = record;
    if (leader !== NO_LEADER && leader !== before.leader) {
      this.elections++;
      const known = before.isr.includes(leader) || before.eligibleLeaderReplicas.includes(leader);
      if (!known && !this.#isUp(before.leader)) this.unclean++;
    }
    const isr = record.isr?.ids ?? before.isr;
    const eligibleLeaderReplicas = record.eligibleLeaderReplicas?.ids ?? before.eligibleLeaderReplicas;
    this.#partitions.set(key, { leader, isr, eligibleLeaderReplicas });
  }

  #isUp(broker: number): boolean {
    if (broker === NO_LEADER) return false;
    return !(this.#fenced.get(broker) ?? this.committed.changes.base.brokers.get(broker)?.fenced ?? true);
  }
}
