/**
 * One assigned partition: where the application is, and the subscription that brings more.
 *
 * Invariant: what was fetched before the last seek, pause or loss is never handed out. Whatever
 * breaks continuity starts a new generation; data carries the one it was fetched for.
 */
import type { FetchSubscription } from '../fetch/fetch-session.js';
import type { TopicPartition } from '../records.js';

export class AssignedPartition implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  /** Offset of the next record that the application gets. */
  position: number;
  /** The leader epoch of the record before the position, where the application has been given it; else -1. */
  positionEpoch = -1;
  /** The id of the topic that has been read; undefined before any was. */
  #topicId: string | undefined;
  /** First offset not readable, as last heard; undefined before anything was. */
  endOffset: number | undefined;
  #generation = 0;
  #isPaused = false;
  #subscription: FetchSubscription | undefined;
  #isBusy = false;

  constructor({ topic, partition }: TopicPartition, position: number) {
    this.topic = topic;
    this.partition = partition;
    this.position = position;
  }

  get generation(): number {
    return this.#generation;
  }

  get topicId(): string | undefined {
    return this.#subscription?.topicId ?? this.#topicId;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Whether a subscription is missing. */
  get wantsFetching(): boolean {
    return !this.#isPaused && !this.#isBusy && this.#subscription === undefined;
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

  seek(offset: number): void {
    this.position = offset;
    this.positionEpoch = -1;
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

  /** Ends what is being fetched and forgets what has been. */
  interrupt(): void {
    this.#generation++;
    this.#isBusy = false;
    this.#subscription?.close();
    this.#topicId = this.topicId;
    this.#subscription = undefined;
  }
}
