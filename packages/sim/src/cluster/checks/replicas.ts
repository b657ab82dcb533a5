/**
 * What every replica of every broker must be like, looked at after every event.
 *
 *   one-leader            a partition and leader epoch have one leader
 *   watermark             a leader's high watermark does not fall within its epoch; a follower's is not above what is committed
 *   isr                   the ISR that a leader believes in is among its replicas, and it is in it
 *   log-start             nothing is gone at the start of a log but what a client has deleted
 *   committed             a high watermark is where a batch ends
 *   committed-prefix      below its high watermark, every replica has what is committed
 *   leader-completeness   whoever leads has everything that is committed
 *   contents, no-duplicates, order    see truth/marks.ts
 */
import type { ReplicaNode, ReplicaPartition } from '@barnabas/broker/parts';
import { Violation } from '../../kernel/violation.js';
import type { PartitionTruth } from '../truth/partition-truth.js';
import type { Truth } from '../truth/truth.js';

/** A life of a broker. */
export interface LookedAt {
  readonly id: number;
  readonly node: ReplicaNode;
}

interface Seen {
  leaderEpoch: number;
  highWatermark: number;
  isLeader: boolean;
  logStartOffset: number;
  /** Below it, its log has been compared with what is committed. */
  compared: number;
}

export class ReplicaChecks {
  readonly #seen = new WeakMap<ReplicaPartition, Seen>();
  /** `<topic id>-<partition>@<epoch>` to broker. */
  readonly #leaders = new Map<string, number>();

  constructor(private readonly truth: Truth) {}

  look({ id, node }: LookedAt): void {
    for (const replica of node.driver.partitions()) {
      if (replica.log.kind === 'online') this.#look(id, replica);
    }
  }

  #look(brokerId: number, replica: ReplicaPartition): void {
    const { leaderEpoch, highWatermark, isLeader, logStartOffset } = replica;
    const before = this.#seen.get(replica);
    if (
      before !== undefined &&
      before.leaderEpoch === leaderEpoch &&
      before.highWatermark === highWatermark &&
      before.isLeader === isLeader &&
      before.logStartOffset === logStartOffset
    ) {
      return;
    }
    const truth = this.truth.partition(replica.topic, replica.topicId, replica.partition);
    const seen = { leaderEpoch, highWatermark, isLeader, logStartOffset, compared: before?.compared ?? 0 };
    this.#seen.set(replica, seen);
    const asked = this.truth.deletable(truth.name);
    if (logStartOffset > asked) {
      throw broken('log-start', 'records are gone that nobody has deleted', brokerId, replica, {
        logStartOffset,
        asked,
      });
    }
    if (isLeader) this.#lookAtLeader(brokerId, replica, truth, before);
    this.#compare(brokerId, replica, truth, seen);
  }

  #lookAtLeader(brokerId: number, replica: ReplicaPartition, truth: PartitionTruth, before: Seen | undefined): void {
    const { topicId, partition, leaderEpoch, highWatermark } = replica;
    const key = `${topicId}-${partition}@${leaderEpoch}`;
    const other = this.#leaders.get(key) ?? brokerId;
    this.#leaders.set(key, other);
    if (other !== brokerId) throw broken('one-leader', 'an epoch has two leaders', brokerId, replica, { other });
    const wentBack =
      before !== undefined &&
      before.isLeader &&
      before.leaderEpoch === leaderEpoch &&
      highWatermark < before.highWatermark;
    if (wentBack) {
      throw broken('watermark', 'the high watermark fell', brokerId, replica, { before: before.highWatermark });
    }
    const log = this.truth.replica(brokerId, topicId, partition);
    truth.led(brokerId, leaderEpoch, log);
    truth.committed(brokerId, leaderEpoch, log, highWatermark);
  }

  #compare(brokerId: number, replica: ReplicaPartition, truth: PartitionTruth, seen: Seen): void {
    const { topicId, partition, highWatermark } = replica;
    if (highWatermark > truth.highestEndOffset && !truth.mayHaveLost) {
      throw broken('watermark', 'a follower’s high watermark is above everything committed', brokerId, replica, {
        committed: truth.endOffset,
      });
    }
    const log = this.truth.replica(brokerId, topicId, partition);
    const from = Math.min(seen.compared, log.endOffset, highWatermark);
    truth.compareFollower(brokerId, log, from, highWatermark);
    seen.compared = highWatermark;
  }
}

function broken(
  check: string,
  what: string,
  brokerId: number,
  replica: ReplicaPartition,
  facts: Readonly<Record<string, number | string>>,
): Violation {
  const { topic, partition, leaderEpoch, highWatermark, logEndOffset } = replica;
  return new Violation(check, what, {
    ...{ broker: brokerId, partition: `${topic}-${partition}`, leaderEpoch, highWatermark, logEndOffset, ...facts },
  });
}
