/**
 * A partition of __consumer_offsets in the hands of the replica driver.
 *
 * `append` must not be called from inside of the driver's turns, where an entry would only be queued:
 * requests, timers and metadata publishers are outside of them, what the driver calls back is not.
 */
import { assert } from '@barnabas/common';
import type { Clock } from '@barnabas/common';
import type { PartitionLog, ReadRequest, ReadResult } from '@barnabas/log';
import { BarnabasError } from '@barnabas/protocol';
import type { ProduceOutcome } from '../core/index.js';
import type { ProduceToken, ReplicaDriver, ReplicaPartition } from '../runtime/replica-driver.js';
import type { TopicConfigs } from '../runtime/topic-configs.js';
import type { GroupLog, GroupLogListener } from './group-log.js';

export interface ReplicaGroupLogOptions {
  readonly driver: ReplicaDriver;
  readonly partition: ReplicaPartition;
  readonly log: PartitionLog;
  readonly configs: TopicConfigs;
  readonly clock: Clock;
}

export class ReplicaGroupLog implements GroupLog {
  constructor(private readonly options: ReplicaGroupLogOptions) {}

  get logStartOffset(): number {
    return this.options.partition.logStartOffset;
  }

  get logEndOffset(): number {
    return this.options.partition.logEndOffset;
  }

  get highWatermark(): number {
    return this.options.partition.highWatermark;
  }

  get maxBatchBytes(): number {
    return this.options.configs.topicConfig(this.options.partition.topic)['max.message.bytes'];
  }

  append(batch: Buffer, timeoutMs: number): BarnabasError | undefined {
    const { driver, partition, log, clock } = this.options;
    // A log that is being opened would make the entry wait, and with it the knowledge of its fate.
    if (partition.log.kind !== 'online') return partition.refusal() ?? notReady();
    if (log.isSaturated) return saturated();
    const token = new AppendToken();
    const deadline = clock.monotonic() + timeoutMs;
    driver.produce(partition, { batches: batch, handedOver: false, acks: 'all', deadline, token });
    assert(token.isDecided, 'an append of a coordinator is decided in its turn', { partition: partition.partition });
    return token.refusal;
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.options.log.read(request);
  }

  listen(listener: GroupLogListener): () => void {
    return this.options.driver.listen(this.options.partition, listener);
  }
}

/** What happens to the entry later is seen by the high watermark, or by the end of the leadership. */
class AppendToken implements ProduceToken {
  #isAppended = false;
  #refusal: BarnabasError | undefined;

  get isDecided(): boolean {
    return this.#isAppended || this.#refusal !== undefined;
  }

  get refusal(): BarnabasError | undefined {
    return this.#isAppended ? undefined : this.#refusal;
  }

  appended(): void {
    this.#isAppended = true;
  }

  written(): void {}

  answer(outcome: ProduceOutcome): void {
    if (outcome.kind === 'refused') this.#refusal = outcome.error;
  }
}

function notReady(): BarnabasError {
  return new BarnabasError('COORDINATOR_NOT_AVAILABLE', 'the log of the coordinator is being opened: retry');
}

function saturated(): BarnabasError {
  return new BarnabasError('COORDINATOR_NOT_AVAILABLE', 'too much of the coordinator waits for the disk: retry');
}
