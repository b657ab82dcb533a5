/** A topic as a producer sees it: its partitions, and which of them a record goes to. */
import type { Random } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import type { Record as BatchRecord } from '@barnabas/protocol';
import type { ClusterView, TopicMetadata } from '../cluster/cluster-view.js';
import { noSuchPartition } from '../cluster/leader-calls.js';
import type { ResolvedProducerOptions } from '../options/producer-options.js';
import type { ProducerRecord } from '../records.js';
import { partitionForKey } from './murmur2.js';
import type { PartitionerTopic } from './partitioner.js';
import type { ProducerPartition } from './producer-partition.js';
import { StickyPartitions } from './sticky-partitions.js';

export interface ProducerTopicParts {
  readonly metadata: TopicMetadata;
  readonly view: ClusterView;
  readonly random: Random;
  readonly options: ResolvedProducerOptions;
  readonly makePartition: (partition: number) => ProducerPartition;
}

export class ProducerTopic implements PartitionerTopic {
  readonly name: string;
  readonly #parts: ProducerTopicParts;
  readonly #partitions: ProducerPartition[] = [];
  readonly #sticky: StickyPartitions;
  readonly #hasOpenBatch = (partition: number): boolean => this.#partitions[partition]?.open !== undefined;
  #partitionCount: number;

  constructor(parts: ProducerTopicParts) {
    const { metadata, options, random } = parts;
    this.#parts = parts;
    this.name = metadata.name;
    this.#partitionCount = metadata.partitions.length;
    const queueLength = (partition: number): number => this.#partitions[partition]?.queueLength ?? 0;
    this.#sticky = new StickyPartitions(this, {
      stickyBytes: options.batchSize,
      random,
      queueLength: options.partitionerAdaptivePartitioningEnable ? queueLength : undefined,
    });
  }

  get partitionCount(): number {
    return this.#partitionCount;
  }

  /** Those that have had records. */
  get partitions(): readonly ProducerPartition[] {
    return this.#partitions.filter((partition) => partition !== undefined);
  }

  isAvailable(partition: number): boolean {
    return (this.#parts.view.topic(this.name)?.partitions[partition]?.leader ?? -1) >= 0;
  }

  /** Partitions are only ever added; a topic that is not known now keeps what it had. */
  refresh(): void {
    this.#partitionCount = this.#parts.view.topic(this.name)?.partitions.length ?? this.#partitionCount;
  }

  /** Whether the sticky partition is what decides for this record. */
  isSticky(source: ProducerRecord, record: BatchRecord): boolean {
    const { partitioner, partitionerIgnoreKeys } = this.#parts.options;
    if (source.partition !== undefined || partitioner !== undefined) return false;
    return record.key === null || partitionerIgnoreKeys;
  }

  /** The partition of a record. */
  choose(source: ProducerRecord, record: BatchRecord, isSticky: boolean): ProducerPartition {
    if (isSticky) return this.partition(this.#sticky.choose(this.#hasOpenBatch));
    if (source.partition !== undefined) return this.partition(this.#checked(source.partition));
    const { partitioner } = this.#parts.options;
    if (partitioner !== undefined) return this.partition(this.#checked(partitioner(source, record.key, this)));
    return this.partition(partitionForKey(record.key as Uint8Array, this.#partitionCount));
  }

  /** That many bytes have gone to the sticky partition. */
  wroteSticky(bytes: number): void {
    this.#sticky.wrote(bytes);
  }

  /** The open batch of the sticky partition is full. */
  stickyBatchFull(): void {
    this.#sticky.batchFull();
  }

  partition(partition: number): ProducerPartition {
    const known = this.#partitions[partition];
    if (known !== undefined) return known;
    const made = this.#parts.makePartition(partition);
    this.#partitions[partition] = made;
    return made;
  }

  #checked(partition: number): number {
    if (!Number.isInteger(partition) || partition < 0) {
      throw new BarnabasError('INVALID_PARTITIONS', `a partition is a whole number from 0, not ${partition}`);
    }
    if (partition < this.#partitionCount) return partition;
    // It may have been added a moment ago.
    this.#parts.view.requestRefresh();
    throw noSuchPartition({ topic: this.name, partition }, this.#partitionCount);
  }
}
