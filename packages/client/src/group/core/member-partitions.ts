/**
 * The partitions of a member between its coordinator and its application: what the assignment gives, what the
 * application has been given, what it is giving up.
 *
 * Invariants:
 *   P1  what is reported as owned covers all that the application may work on, and all that the assignment
 *       of the reported version gives; within a version the report only shrinks, but for what came with it
 *   P2  the application is given a partition once, until it has released or lost it, and never one of the
 *       same name and number beside another (a topic made anew) that it has not released yet
 * Does not own: when anything is said (member.ts).
 */
import type { TopicPartition } from '../../records.js';
import { partitionName } from '../../records.js';
import { groupPartitionKey } from '../group-types.js';
import type { GroupTopicPartition } from '../group-types.js';
import type { Answer, Heartbeat } from './member-rules.js';

interface GivingUp {
  readonly partition: GroupTopicPartition;
  readonly deadlineMs: number;
}

/** Asked for where the version applied is not known: equals no version. */
const UNKNOWN_VERSION = -1;

export class MemberPartitions {
  #version = 0;
  /** The assignment last heard. */
  #told = new Map<string, GroupTopicPartition>();
  /** What the application has been given and not been asked to release. */
  readonly #given = new Map<string, GroupTopicPartition>();
  readonly #givingUp = new Map<string, GivingUp>();
  /** Resumed, and not confirmed by an assignment yet. */
  #isResuming: boolean;

  /** `resumed`: what the application works on already. */
  constructor(resumed: readonly GroupTopicPartition[] | undefined) {
    this.#isResuming = resumed !== undefined;
    if (resumed === undefined) return;
    this.#version = UNKNOWN_VERSION;
    for (const partition of resumed) {
      this.#told.set(groupPartitionKey(partition), partition);
      this.#given.set(groupPartitionKey(partition), partition);
    }
  }

  owns(partition: GroupTopicPartition): boolean {
    return this.#given.has(groupPartitionKey(partition));
  }

  topicIdOf({ topic, partition }: TopicPartition): string | undefined {
    const known = [...this.#given.values(), ...[...this.#givingUp.values()].map((one) => one.partition)];
    return known.find((one) => one.topic === topic && one.partition === partition)?.topicId;
  }

  /** When the next grace is over. */
  get nextGraceMs(): number {
    return Math.min(...[...this.#givingUp.values()].map(({ deadlineMs }) => deadlineMs));
  }

  /** For a heartbeat. */
  report(): NonNullable<Heartbeat['owned']> {
    const owned = new Map(this.#told);
    for (const [key, { partition }] of this.#givingUp) owned.set(key, partition);
    return { appliedVersion: this.#version, partitions: [...owned.values()] };
  }

  /** Takes an assignment over. Returns what the application is to give up by the deadline; `give` has what is new. */
  apply({ version, partitions }: NonNullable<Answer['assignment']>, deadlineMs: number): GroupTopicPartition[] {
    this.#version = version;
    this.#told = new Map(partitions.map((partition) => [groupPartitionKey(partition), partition]));
    this.#adopt(partitions);
    const revoked = [...this.#given].filter(([key]) => !this.#told.has(key));
    for (const [key, partition] of revoked) {
      this.#given.delete(key);
      this.#givingUp.set(key, { partition, deadlineMs });
    }
    if (this.#isResuming) this.#confirm();
    return revoked.map(([, partition]) => partition);
  }

  /** What the application is told to own, stands in nobody's way, and has not been given: it is given now. */
  give(): GroupTopicPartition[] {
    const busy = new Set(
      [...this.#givingUp.values()].map(({ partition: { topic, partition } }) => partitionName(topic, partition)),
    );
    const given = [...this.#told].filter(
      ([key, { topic, partition }]) => !this.#given.has(key) && !busy.has(partitionName(topic, partition)),
    );
    for (const [key, partition] of given) this.#given.set(key, partition);
    return given.map(([, partition]) => partition);
  }

  /** The application works on these no more. Says whether any of them was being given up. */
  release(partitions: readonly TopicPartition[]): boolean {
    const names = new Set(partitions.map(({ topic, partition }) => partitionName(topic, partition)));
    return this.#release(({ partition }) => names.has(partitionName(partition.topic, partition.partition)));
  }

  /** The same for those whose grace is over. */
  releaseOverdue(nowMs: number): boolean {
    return this.#release(({ deadlineMs }) => deadlineMs <= nowMs);
  }

  /** Everything is another's: what that was. */
  forget(): GroupTopicPartition[] {
    const lost = [...this.#given.values(), ...[...this.#givingUp.values()].map(({ partition }) => partition)];
    this.#version = 0;
    this.#isResuming = false;
    this.#told = new Map();
    this.#given.clear();
    this.#givingUp.clear();
    return lost;
  }

  #release(isReleased: (one: GivingUp) => boolean): boolean {
    let isAny = false;
    for (const [key, one] of this.#givingUp) {
      if (!isReleased(one)) continue;
      this.#givingUp.delete(key);
      isAny = true;
    }
    return isAny;
  }

  /** What is left of a resumed membership is given like what is new. */
  #confirm(): void {
    this.#isResuming = false;
    this.#given.clear();
  }

  /** What was resumed by name alone, of a topic whose id was not known here yet. */
  #adopt(partitions: readonly GroupTopicPartition[]): void {
    for (const [key, given] of this.#given) {
      if (given.topicId !== '') continue;
      const named = partitions.find(({ topic, partition }) => topic === given.topic && partition === given.partition);
      if (named === undefined) continue;
      this.#given.delete(key);
      this.#given.set(groupPartitionKey(named), named);
    }
  }
}
