/**
 * The partition for records without keys (KIP-480, KIP-794): one partition until a batch's worth has
 * gone to it, then another at random, so that batches fill and partitions get the same number of
 * bytes. With adaptive partitioning, partitions with longer queues are chosen less often: a slow
 * broker does not fill the buffer memory.
 */
import type { Random } from '@barnabas/common';
import type { PartitionerTopic } from './partitioner.js';

export interface StickyOptions {
  /** Bytes after which to move on: batch.size. */
  readonly stickyBytes: number;
  readonly random: Random;
  /** Batches that wait for a partition; undefined where load does not matter. */
  readonly queueLength: ((partition: number) => number) | undefined;
}

export class StickyPartitions {
  readonly #topic: PartitionerTopic;
  readonly #options: StickyOptions;
  #current = -1;
  #bytes = 0;

  constructor(topic: PartitionerTopic, options: StickyOptions) {
    this.#topic = topic;
    this.#options = options;
  }

  /**
   * The partition for the next record. `hasOpenBatch` tells of the partition chosen last; while it has
   * one, staying fills it, up to twice the bytes.
   */
  choose(hasOpenBatch: (partition: number) => boolean): number {
    const { stickyBytes } = this.#options;
    const isGone = this.#current < 0 || this.#current >= this.#topic.partitionCount;
    const isDue = this.#bytes >= stickyBytes * 2 || (this.#bytes >= stickyBytes && !hasOpenBatch(this.#current));
    if (isGone || isDue) this.#move();
    return this.#current;
  }

  /** That many bytes have gone to the current partition. */
  wrote(bytes: number): void {
    this.#bytes += bytes;
  }

  /** The open batch of the current partition is full. Where most of the bytes have been used up, the next goes elsewhere. */
  batchFull(): void {
    if (this.#bytes * 2 >= this.#options.stickyBytes) this.#move();
  }

  #move(): void {
    this.#bytes = 0;
    const candidates = this.#candidates();
    const { queueLength } = this.#options;
    this.#current = queueLength === undefined ? this.#uniform(candidates) : this.#byLoad(candidates, queueLength);
  }

  /** Partitions with a leader, or all where none has one. */
  #candidates(): readonly number[] {
    const all = Array.from({ length: this.#topic.partitionCount }, (_, partition) => partition);
    const available = all.filter((partition) => this.#topic.isAvailable(partition));
    return available.length > 0 ? available : all;
  }

  #uniform(candidates: readonly number[]): number {
    return candidates[this.#options.random.below(candidates.length)] ?? 0;
  }

  /** As Kafka: a partition's weight is the longest queue plus one, less its own queue. */
  #byLoad(candidates: readonly number[], queueLength: (partition: number) => number): number {
    const lengths = candidates.map(queueLength);
    const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
    const total = lengths.reduce((sum, length) => sum + longest + 1 - length, 0);
    let draw = this.#options.random.below(total);
    for (const [index, length] of lengths.entries()) {
      draw -= longest + 1 - length;
      if (draw < 0) return candidates[index] ?? 0;
    }
    return this.#uniform(candidates);
  }
}
