/**
 * Records that cannot be placed yet: their topic is not known, or buffer.memory is full. They wait in
 * the order in which they came, for max.block.ms at most.
 */
import type { Timer } from '@barnabas/common';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { Record as BatchRecord } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import type { TopicMetadata } from '../cluster/cluster-view.js';
import type { ProducerRecord } from '../records.js';
import type { FlushToken, Resolve } from './producer-batch.js';

/** A record on its way into a batch. */
export interface PendingRecord {
  readonly source: ProducerRecord;
  readonly record: BatchRecord;
  readonly resolve: Resolve;
}

export interface WaitingRecord extends PendingRecord {
  readonly deadlineMs: number;
  readonly flushTokens: FlushToken[];
}

/**
 * What may wait for topics before the producer asks to be left in peace. Enough to bridge the asking;
 * a loop that never looks up would otherwise put all it has here.
 */
const TOPIC_WAIT_BYTES = 1024 * 1024;
/** A record's fields beside key and value, roughly. */
const RECORD_OVERHEAD_BYTES = 64;

export interface WaitingRoomParts {
  readonly router: ClusterRouter;
  readonly maxBlockMs: number;
  readonly allowAutoCreateTopics: boolean;
  readonly bufferMemory: number;
  readonly onTopicKnown: (metadata: TopicMetadata) => void;
  /** Puts the record into a batch; false while there is no memory for it. Throws for one that no batch takes. */
  readonly tryPlace: (record: WaitingRecord) => boolean;
  /** The record has failed; it has no part in anything any more. */
  readonly onRefused: (record: WaitingRecord, error: BarnabasError) => void;
  /** Fewer records wait for topics than did. */
  readonly onTopicsServed: () => void;
}

export class WaitingRoom {
  readonly #parts: WaitingRoomParts;
  readonly #byTopic = new Map<string, WaitingRecord[]>();
  #forMemory: WaitingRecord[] = [];
  #memoryTimer: Timer | undefined;
  #topicBytes = 0;

  constructor(parts: WaitingRoomParts) {
    this.#parts = parts;
  }

  /** Records wait for memory: whatever comes now waits behind them. */
  get isMemoryAwaited(): boolean {
    return this.#forMemory.length > 0;
  }

  /** So much waits for topics that no more should come. */
  get isTopicAwaited(): boolean {
    return this.#topicBytes >= TOPIC_WAIT_BYTES;
  }

  get all(): readonly WaitingRecord[] {
    return [...this.#forMemory, ...[...this.#byTopic.values()].flat()];
  }

  waitForTopic(pending: PendingRecord): void {
    const { topic } = pending.source;
    const entry = this.#enter(pending);
    this.#topicBytes += sizeOf(entry);
    const others = this.#byTopic.get(topic);
    if (others !== undefined) {
      others.push(entry);
      return;
    }
    this.#byTopic.set(topic, [entry]);
    void this.#askForTopic(topic);
  }

  waitForMemory(pending: PendingRecord): void {
    this.#forMemory.push(this.#enter(pending));
    this.#armMemoryTimer();
  }

  /** Memory may have been freed: places what can be placed, in order. */
  placeAll(): void {
    let placed = 0;
    for (const entry of this.#forMemory) {
      if (!this.#tryPlace(entry)) break;
      placed++;
    }
    if (placed === 0) return;
    this.#forMemory = this.#forMemory.slice(placed);
    this.#memoryTimer?.cancel();
    this.#memoryTimer = undefined;
    this.#armMemoryTimer();
  }

  /** Everything that waits fails. */
  abort(error: BarnabasError): void {
    const entries = this.all;
    this.#memoryTimer?.cancel();
    this.#forMemory = [];
    this.#byTopic.clear();
    this.#topicBytes = 0;
    for (const entry of entries) this.#parts.onRefused(entry, error);
  }

  #enter(pending: PendingRecord): WaitingRecord {
    return { ...pending, deadlineMs: this.#now() + this.#parts.maxBlockMs, flushTokens: [] };
  }

  /** Each asks for as long as its first record may wait; those that came later ask again. */
  async #askForTopic(topic: string): Promise<void> {
    const { router, allowAutoCreateTopics } = this.#parts;
    for (let first = this.#byTopic.get(topic)?.[0]; first !== undefined; first = this.#byTopic.get(topic)?.[0]) {
      const timeoutMs = Math.max(1, first.deadlineMs - this.#now());
      try {
        const options = { timeoutMs, allowAutoTopicCreation: allowAutoCreateTopics };
        this.#topicKnown(topic, await router.view.ensureTopic(topic, options));
      } catch (error) {
        this.#topicFailed(topic, toBarnabasError(error));
      }
    }
  }

  #topicKnown(topic: string, metadata: TopicMetadata): void {
    const entries = this.#byTopic.get(topic) ?? [];
    this.#byTopic.delete(topic);
    this.#parts.onTopicKnown(metadata);
    for (const entry of entries) {
      this.#topicBytes -= sizeOf(entry);
      if (this.#forMemory.length === 0 && this.#tryPlace(entry)) continue;
      this.#forMemory.push(entry);
      this.#armMemoryTimer();
    }
    this.#parts.onTopicsServed();
  }

  #topicFailed(topic: string, error: BarnabasError): void {
    const entries = this.#byTopic.get(topic) ?? [];
    const isOver = ({ deadlineMs }: WaitingRecord): boolean => !error.retriable || deadlineMs <= this.#now() + 1;
    const left = entries.filter((entry) => !isOver(entry));
    // The first always goes, or this would ask for ever.
    const failed = left.length === entries.length ? entries.slice(0, 1) : entries.filter(isOver);
    const waiting = entries.filter((entry) => !failed.includes(entry));
    if (waiting.length > 0) this.#byTopic.set(topic, waiting);
    else this.#byTopic.delete(topic);
    for (const entry of failed) {
      this.#topicBytes -= sizeOf(entry);
      this.#parts.onRefused(entry, error);
    }
    this.#parts.onTopicsServed();
  }

  #tryPlace(entry: WaitingRecord): boolean {
    try {
      return this.#parts.tryPlace(entry);
    } catch (error) {
      this.#parts.onRefused(entry, toBarnabasError(error));
      return true;
    }
  }

  #armMemoryTimer(): void {
    const [first] = this.#forMemory;
    if (first === undefined || this.#memoryTimer !== undefined) return;
    this.#memoryTimer = this.#parts.router.environment.timers.after(first.deadlineMs - this.#now(), () => {
      this.#memoryTimer = undefined;
      this.#expireMemory();
      this.#armMemoryTimer();
    });
  }

  #expireMemory(): void {
    const nowMs = this.#now();
    const firstLeft = this.#forMemory.findIndex(({ deadlineMs }) => deadlineMs > nowMs);
    const over = firstLeft === -1 ? this.#forMemory : this.#forMemory.slice(0, firstLeft);
    this.#forMemory = firstLeft === -1 ? [] : this.#forMemory.slice(firstLeft);
    for (const entry of over) this.#parts.onRefused(entry, this.#noMemory());
  }

  #noMemory(): BarnabasError {
    const { maxBlockMs, bufferMemory } = this.#parts;
    return new BarnabasError(
      'REQUEST_TIMED_OUT',
      `buffer.memory (${bufferMemory} bytes) was full for max.block.ms (${maxBlockMs} ms): wait for drained() before sending more`,
      { bufferMemory, maxBlockMs },
    );
  }

  #now(): number {
    return this.#parts.router.environment.clock.monotonic();
  }
}

function sizeOf({ record: { key, value } }: WaitingRecord): number {
  return RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
}
