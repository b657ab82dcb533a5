/**
 * What is checked of a produce entry before it reaches its partition. Batches are checked by the log,
 * once, in the pass in which it reads their headers anyway: size, magic, CRC, codec, counts, sequence.
 *
 * Errors: INVALID_REQUEST (no partition, no payload, an empty one), INVALID_TOPIC_EXCEPTION (an internal
 * topic: only brokers write to those), UNKNOWN_LEADER_EPOCH (the client knows of a later leader), those of leader-lookup.ts, and for records those of thin-records.ts.
 */
import type { Clock } from '@barnabas/common';
import { isInternalTopic } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { refusals } from '../core/index.js';
import type { LeaderLookup } from '../runtime/leader-lookup.js';
import type { ReplicaPartition } from '../runtime/replica-driver.js';
import type { TopicConfigs } from '../runtime/topic-configs.js';
import { batchRecords } from './thin-records.js';

export interface CheckedEntry {
  readonly partition: ReplicaPartition;
  readonly batches: Buffer;
  /** The batches were made here, of records. */
  readonly made: boolean;
}

export class EntryCheck {
  constructor(
    private readonly lookup: LeaderLookup,
    private readonly configs: TopicConfigs,
    private readonly clock: Clock,
  ) {}

  check(entry: v1.ProduceEntry): CheckedEntry {
    if (entry.partition === undefined) {
      throw new BarnabasError(
        'INVALID_REQUEST',
        'a broker is told the partition: name one, or ask a gateway, which picks it by the key',
      );
    }
    if (isInternalTopic(entry.topic)) throw internal(entry.topic);
    const partition = this.lookup.partition(entry.topic, entry.partition);
    // A client that knows an older epoch only may be served all the same: this leader is the newer one.
    const { currentLeaderEpoch = -1 } = entry;
    if (currentLeaderEpoch > partition.leaderEpoch) {
      throw refusals.unknownLeaderEpoch(partition, currentLeaderEpoch, partition.leaderEpoch);
    }
    return { partition, batches: this.#batches(entry), made: entry.payload?.$case === 'records' };
  }

  #batches({ topic, payload }: v1.ProduceEntry): Buffer {
    switch (payload?.$case) {
      case 'batch':
        if (payload.batch.length === 0) throw new BarnabasError('INVALID_REQUEST', 'an entry has at least one batch');
        return payload.batch;
      case 'records':
        return batchRecords(payload.records.records, this.configs.topicConfig(topic), this.clock.now());
      case undefined:
        throw new BarnabasError('INVALID_REQUEST', 'an entry carries either a batch or records');
    }
  }
}

function internal(topic: string): BarnabasError {
  const why = `topic ${topic} is internal, and what clients wrote there would be taken for the truth: use another`;
  return new BarnabasError('INVALID_TOPIC_EXCEPTION', why, { topic });
}
