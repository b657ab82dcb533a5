/**
 * One assigned partition: where the application is, what of it is done, and the subscription that brings more.
 *
 * Invariants:
 *   A1  what was fetched before the last seek, pause or loss is never handed out. Whatever breaks continuity
 *       starts a new generation; data carries the one it was fetched for
 *   A2  everything below `done` has been dealt with: what has been handed out and is still being worked on, or
 *       waits for its turn, lies at it or above
 *   A3  a suspended partition hands out nothing: it is being given up, or has not been begun
 */
import type { FetchSubscription } from '../fetch/fetch-session.js';
import type { TopicPartition } from '../records.js';

/** A place in a partition, and the leader epoch of the record before it; -1 if not known. */
export interface PartitionPosition {
  readonly offset: number;
  readonly leaderEpoch: number;
}

/** Where a partition begins whose position is still to be found. */
export const UNKNOWN_POSITION = -1;

export class AssignedPartition implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  /** Offset of the next record that the application gets; -1 while it is not known. */
  position: number;
  /** The leader epoch of the record before the position, where the application has been given it; else -1. */
  positionEpoch = -1;
  /** What the group has committed, as far as this consumer knows; -1: nothing. */
  committedOffset = -1;
  /** How often the group has gone back in it; undefined: that is not known here, or nobody's member reads it. */
  rewinds: number | undefined;
  /** First offset not readable, as last heard; undefined before anything was. */
  endOffset: number | undefined;
  /** The id of the topic that has been read; undefined before any was. */
  #topicId: string | undefined;
  #generation = 0;
  #era = 0;
  #isPaused = false;
  #isSuspended = false;
  #isGivenUp = false;
  #subscription: FetchSubscription | undefined;
  #isBusy = false;
  /** Of what has been handed out and is not done; offset -1: nothing is. */
  #inHandOffset = -1;
  #inHandEpoch = -1;
  #working = 0;
  #idleWaiters: (() => void)[] = [];
  #abort: AbortController | undefined;
  #isGone = false;

  constructor({ topic, partition }: TopicPartition, position: number, leaderEpoch = -1, topicId?: string) {
    this.topic = topic;
    this.partition = partition;
    this.position = position;
    this.positionEpoch = leaderEpoch;
    this.#topicId = topicId;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Changes with every seek: what was handed out before says nothing of what is done after. */
  get era(): number {
    return this.#era;
  }

  get topicId(): string | undefined {
    return this.#subscription?.topicId ?? this.#topicId;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** It was revoked, or its consumer leaves. */
  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /** It is not this consumer's any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Whether a subscription is missing. */
  get wantsFetching(): boolean {
    const mayFetch = !this.#isPaused && !this.#isSuspended && !this.#isBusy && this.position >= 0;
    return mayFetch && this.#subscription === undefined;
  }

  /** Everything below it is done with. */
  get done(): PartitionPosition {
    if (this.#inHandOffset >= 0) return { offset: this.#inHandOffset, leaderEpoch: this.#inHandEpoch };
    return { offset: this.position, leaderEpoch: this.positionEpoch };
  }

  /** Aborted when what is being worked on is another's. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }

  attach(subscription: FetchSubscription): void {
    this.#subscription = subscription;
  }

  /** Its subscription has ended by itself, or its position is being looked up: nothing is fetched until `interrupt`. */
  hold(): void {
    this.#topicId = this.topicId;
    this.#subscription = undefined;
    this.#isBusy = true;
  }

  /** Everything of the batch before `offset` has been handed out. */
  advance(offset: number, leaderEpoch: number): void {
    this.position = offset;
    this.positionEpoch = leaderEpoch;
  }

  /** From here on what has been handed out is not done. */
  holdAt(offset: number, leaderEpoch: number): void {
    this.#inHandOffset = offset;
    this.#inHandEpoch = leaderEpoch;
  }

  /** The next thing to be handed out, if nothing is in hand already, is not done before `settle`. */
  takeInHand(): void {
    if (this.#inHandOffset < 0) this.holdAt(this.position, this.positionEpoch);
  }

  /** All that has been handed out is done. */
  settle(): void {
    this.#inHandOffset = -1;
  }

  /** Somebody works on something of it. */
  begin(): void {
    this.#working++;
  }

  end(): void {
    this.#working--;
    if (this.#working > 0 || this.#idleWaiters.length === 0) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const wake of waiters) wake();
  }

  /** Resolves when nobody works on anything of it. */
  whenIdle(): Promise<void> {
    if (this.#working === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
    });
  }

  seek(offset: number): void {
    this.moveTo({ offset, leaderEpoch: -1 });
    this.rewind();
  }

  /** What is committed from now on takes the place of what was committed before, wherever that lies. */
  rewind(): void {
    if (this.rewinds !== undefined) this.rewinds++;
  }

  /** To where it shall go on, by nobody's wish but the consumer's own. */
  moveTo({ offset, leaderEpoch }: PartitionPosition): void {
    this.#era++;
    this.position = offset;
    this.positionEpoch = leaderEpoch;
    this.settle();
    this.interrupt();
  }

  /** Buffered data is dropped, so that it takes no room from other partitions, and fetched again later. */
  pause(): void {
    this.#isPaused = true;
    this.interrupt();
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** Hands out nothing until `release`, which may never come. */
  suspend(): void {
    if (this.#isSuspended) return;
    this.#isSuspended = true;
    this.interrupt();
  }

  /** It has been begun. One that was revoked while that was under way stays as it is. */
  unsuspend(): void {
    this.#isSuspended = this.#isGone || this.#isGivenUp;
  }

  /** Hands out nothing any more, whatever comes: it was revoked, or its consumer leaves. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.suspend();
  }

  /** It is another's now, or nobody's. */
  leave(): void {
    this.#isGone = true;
    this.#abort?.abort();
    this.#abort ??= abortedController();
    this.suspend();
    this.interrupt();
  }

  /** Ends what is being fetched and forgets what has been. */
  interrupt(): void {
    this.#generation++;
    this.#isBusy = false;
    this.#subscription?.close();
    this.#topicId = this.topicId;
    this.#subscription = undefined;
  }
}

function abortedController(): AbortController {
  const controller = new AbortController();
  controller.abort();
  return controller;
}
