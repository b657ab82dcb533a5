/**
 * What the parts of a subscription share: the partitions, the credit, and what is to be done. Decides
 * nothing by itself.
 *
 * Invariant: a generation that is in `byGeneration` is that of its partition, and no other's.
 */
import { Credits } from './credits.js';
import type { OwnedPartition } from './owned-partition.js';
import { keyOf } from './types.js';
import type { Effect, Parcel, ServerMessage, SubscriptionSettings, TopicPartition } from './types.js';

export class SessionState {
  readonly partitions = new Map<string, OwnedPartition>();
  readonly byGeneration = new Map<number, OwnedPartition>();
  readonly credits: Credits;
  memberEpoch = 0;
  /** The client has ended its side, or was too slow: nothing more is pushed. */
  isClosing = false;
  #effects: Effect[] = [];
  #generations = 0;
  #unacknowledgedRecords = 0;
  #unacknowledgedBytes = 0;
  /** When the client has last said something, or got the first record after it had none. */
  lastSignMs = 0;

  constructor(readonly settings: SubscriptionSettings) {
    this.credits = new Credits(settings.credit);
  }

  get isAtMostOnce(): boolean {
    return this.settings.delivery === 'at-most-once';
  }

  get autoCommits(): boolean {
    return this.settings.autoCommitIntervalMs !== undefined;
  }

  get unacknowledgedRecords(): number {
    return this.#unacknowledgedRecords;
  }

  get unacknowledgedBytes(): number {
    return this.#unacknowledgedBytes;
  }

  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  send(message: ServerMessage): void {
    this.#effects.push({ kind: 'send', message });
  }

  get hasEffects(): boolean {
    return this.#effects.length > 0;
  }

  takeEffects(): readonly Effect[] {
    if (this.#effects.length === 0) return NONE;
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  find(partition: TopicPartition): OwnedPartition | undefined {
    return this.partitions.get(keyOf(partition));
  }

  /** What comes under an earlier generation is dropped from now on. */
  newGeneration(owned: OwnedPartition): number {
    this.endGeneration(owned);
    owned.generation = ++this.#generations;
    this.byGeneration.set(owned.generation, owned);
    return owned.generation;
  }

  endGeneration(owned: OwnedPartition): void {
    this.byGeneration.delete(owned.generation);
    owned.generation = 0;
  }

  /** The client has it, and its credit is taken. */
  pushed(owned: OwnedPartition, parcel: Parcel, nowMs: number): void {
    if (this.#unacknowledgedRecords === 0) this.lastSignMs = nowMs;
    owned.pushedUntil = parcel.nextOffset;
    owned.unacknowledged.add(parcel, parcel.nextOffset);
    this.#unacknowledgedRecords += parcel.records;
    this.#unacknowledgedBytes += parcel.bytes;
  }

  acknowledge(owned: OwnedPartition, offset: number): void {
    this.#settle(owned.unacknowledged.acknowledge(offset));
  }

  /** Nobody will acknowledge what was pushed of it, and what is held will not be pushed. */
  forgetPushed(owned: OwnedPartition): void {
    this.#settle(owned.unacknowledged.clear());
    this.dropHeld(owned, () => true);
  }

  /** What is not pushed takes no credit, whoever gives it. */
  dropHeld(owned: OwnedPartition, isDropped: (held: { readonly isCommitted: boolean }) => boolean): void {
    for (const held of owned.held) {
      if (!isDropped(held)) continue;
      this.credits.give(held.parcel);
      owned.isAhead = true;
    }
    owned.held = owned.held.filter((held) => !isDropped(held));
  }

  #settle(amount: { readonly records: number; readonly bytes: number }): void {
    this.#unacknowledgedRecords -= amount.records;
    this.#unacknowledgedBytes -= amount.bytes;
    if (this.settings.creditMode === 'by-ack') this.credits.give(amount);
  }
}

const NONE: readonly Effect[] = [];
