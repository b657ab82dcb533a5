/**
 * Judges what the broker hands to consumers in the moment in which it does: below the high
 * watermark, dense, in order, and the same as ever before.
 */
import { present } from '@barnabas/common';
import type { v1 } from '@barnabas/protocol';
import { Violation } from '../../kernel/violation.js';
import { readBatches } from '../batches.js';
import type { ReadBatch } from '../batches.js';
import type { BrokerProcess } from '../broker-process.js';
import type { PartitionHistory } from '../partition-history.js';
import type { World } from '../world.js';
import { NumbersInOrder } from './numbers-in-order.js';

/** One subscription as the broker serves it. */
export class ServedSubscription {
  readonly #order: NumbersInOrder;
  #topicId: string | undefined;

  constructor(
    private readonly world: World,
    private readonly topic: string,
    private readonly partition: number,
    /** Offset of the next record. */
    private position: number,
  ) {
    this.#order = new NumbersInOrder(world.history);
  }

  /** What the broker takes the topic's name for; undefined before its first message. */
  get topicId(): string | undefined {
    return this.#topicId;
  }

  /** A message that the broker writes now. */
  observe(broker: BrokerProcess, message: v1.FetchResponse): void {
    if (message.ended) return;
    const replica = present(broker.node?.driver.find(this.topic, this.partition), 'the replica that is served');
    const where = { partition: `${this.topic}-${this.partition}`, position: this.position };
    if ((this.#topicId ?? replica.topicId) !== replica.topicId) {
      throw new Violation('served', 'a subscription outlived its topic', where);
    }
    this.#topicId = replica.topicId;
    const batches = readBatches(message.batches);
    const end = batches.at(-1)?.header.lastOffset ?? -1;
    if (end >= replica.highWatermark || end >= message.highWatermark) {
      throw new Violation('served', 'a record at or above the high watermark was served', {
        ...{ ...where, offset: end, highWatermark: replica.highWatermark, said: message.highWatermark },
      });
    }
    const partition = this.world.history.spokenOf(replica.topicId, this.partition);
    for (const batch of batches) this.#take(batch, partition);
    if (message.nextOffset !== this.position) {
      throw new Violation('served', 'next_offset is not what follows the last batch', {
        ...where,
        said: message.nextOffset,
      });
    }
  }

  #take({ header, records }: ReadBatch, partition: PartitionHistory | undefined): void {
    const { baseOffset, lastOffset } = header;
    if (baseOffset > this.position || lastOffset < this.position || records.length !== lastOffset - baseOffset + 1) {
      throw new Violation('dense', 'a reader was given a batch that does not follow', {
        ...{ partition: `${this.topic}-${this.partition}`, position: this.position, baseOffset, lastOffset },
      });
    }
    this.position = lastOffset + 1;
    this.world.tally.count('records served', records.length);
    if (partition === undefined) return;
    for (const { offset, mark } of records) {
      this.world.history.told(partition, offset, mark);
      this.#order.take(partition, offset, mark);
    }
  }
}
