/**
 * What a consumer commits: what is done with by itself every auto.commit.interval.ms, and what the application
 * asks for.
 *
 * Invariants:
 *   C1  an automatic commit covers only what is done with: a record that was handed out is done when its
 *       reader has come back for the next, or its handler has returned
 *   C2  a commit goes back only after a seek, or where the application names an offset below the last one; then
 *       it and all that is asked for later counts one more (OffsetOfMember), and nothing asked for before undoes it
 */
import type { Timer } from '@barnabas/common';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import type { CommitOutcome, FetchedOffset, OffsetOfMember, OffsetToCommit } from '../group/group-types.js';
import type { CommitOptions, PartitionToFetch } from '../group/member-offsets.js';
import type { ResolvedConsumerOptions } from '../options/consumer-options.js';
import { partitionName } from '../records.js';
import type { TopicPartition } from '../records.js';
import type { AssignedPartition, PartitionPosition } from './assigned-partition.js';

/** Whoever commits: a membership, or nobody's member. */
export interface Committer {
  commit(offsets: readonly OffsetOfMember[], options?: CommitOptions): Promise<readonly CommitOutcome[]>;
  fetchOffsets(partitions: readonly PartitionToFetch[], timeoutMs?: number): Promise<readonly FetchedOffset[]>;
}

/** An offset that a group has committed. */
export interface OffsetAndMetadata extends TopicPartition {
  /** The next offset to read. */
  readonly offset: number;
  /** Of the record before it; -1 if not known. */
  readonly leaderEpoch: number;
  readonly metadata: string;
}

/** Told what became of an asynchronous commit: the error is undefined where it was done. */
export type OffsetCommitCallback = (error: BarnabasError | undefined, offsets: readonly OffsetAndMetadata[]) => void;

export interface CommitsPorts {
  /** Throws where there is no group id, or the membership is over. */
  committer(): Committer;
  /** The same for who only asks. */
  reader(): Committer;
  find(partition: TopicPartition): AssignedPartition | undefined;
  /** All that is assigned. */
  partitions(): readonly AssignedPartition[];
  /** What a commit without offsets covers of a partition. */
  position(assigned: AssignedPartition): PartitionPosition;
}

interface Entry {
  readonly offset: OffsetOfMember & { readonly leaderEpoch: number; readonly metadata: string };
  readonly assigned: AssignedPartition | undefined;
}

export class Commits {
  readonly #router: ClusterRouter;
  readonly #options: ResolvedConsumerOptions;
  readonly #ports: CommitsPorts;
  #timer: Timer | undefined;
  #isCommitting = false;
  readonly #open = new Set<Promise<void>>();

  constructor(router: ClusterRouter, options: ResolvedConsumerOptions, ports: CommitsPorts) {
    this.#router = router;
    this.#options = options;
    this.#ports = ports;
  }

  get isAutomatic(): boolean {
    return this.#options.enableAutoCommit && this.#options.groupId !== '';
  }

  /** Begins to commit by itself, if it is to. */
  start(): void {
    if (!this.isAutomatic || this.#timer !== undefined) return;
    this.#timer = this.#router.environment.timers.after(this.#options.autoCommitIntervalMs, () => {
      this.#timer = undefined;
      this.start();
      if (!this.#isCommitting) void this.#commitByItself();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Commits these, or where everything stands; rejects with what went wrong with the first that was refused. */
  async commit(offsets?: readonly OffsetToCommit[], timeoutMs?: number): Promise<void> {
    await this.#commit(offsets === undefined ? this.#positions() : offsets.map((one) => this.#given(one)), timeoutMs);
  }

  /** The same without waiting; behind what was asked for before. */
  commitAsync(offsets?: readonly OffsetToCommit[], callback?: OffsetCommitCallback): void {
    const entries = offsets === undefined ? this.#positions() : offsets.map((one) => this.#given(one));
    const told = entries.map(({ offset: { topic, partition, offset, leaderEpoch, metadata } }) => ({
      ...{ topic, partition, offset, leaderEpoch, metadata },
    }));
    const run = this.#commit(entries).then(
      () => callback?.(undefined, told),
      (thrown: unknown) => {
        const error = toBarnabasError(thrown);
        if (callback === undefined) this.#warn(error);
        else callback(error, told);
      },
    );
    const open = run.catch((error: unknown) => this.#warn(toBarnabasError(error)));
    this.#open.add(open);
    void open.finally(() => this.#open.delete(open));
  }

  /** Resolves when no asynchronous commit is on its way. */
  async settled(): Promise<void> {
    await Promise.all(this.#open);
  }

  /** Commits what is done with of these, if that is to happen by itself. Failures are logged: what follows cannot wait for them. */
  async commitDone(partitions: readonly AssignedPartition[], timeoutMs?: number, committer?: Committer): Promise<void> {
    if (!this.isAutomatic) return;
    const entries = partitions.map((assigned) => entryOf(assigned, assigned.done)).filter(isNews);
    try {
      await this.#commit(entries, timeoutMs, committer);
    } catch (error) {
      this.#warn(toBarnabasError(error));
    }
  }

  /** What the group has committed of each; undefined where it has nothing. */
  async committed(
    partitions: readonly TopicPartition[],
    timeoutMs = this.#options.defaultApiTimeoutMs,
  ): Promise<readonly (OffsetAndMetadata | undefined)[]> {
    const asked = partitions.map((one) => withTopicId(one, this.#ports.find(one)?.topicId));
    const offsets = await this.#ports.reader().fetchOffsets(asked, timeoutMs);
    return partitions.map(({ topic, partition }, index) => {
      const { error, offset = -1, leaderEpoch = -1, metadata = '' } = offsets[index] ?? {};
      if (error !== undefined) throw error;
      return offset < 0 ? undefined : { topic, partition, offset, leaderEpoch, metadata };
    });
  }

  async #commitByItself(): Promise<void> {
    this.#isCommitting = true;
    const live = this.#ports.partitions().filter(({ isSuspended }) => !isSuspended);
    await this.commitDone(live);
    this.#isCommitting = false;
  }

  #positions(): Entry[] {
    const known = this.#ports.partitions().filter(({ position }) => position >= 0);
    return known.map((assigned) => entryOf(assigned, this.#ports.position(assigned)));
  }

  #given(given: OffsetToCommit): Entry {
    const { topic, partition, offset, leaderEpoch = -1, metadata = '' } = given;
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new BarnabasError('INVALID_REQUEST', `an offset to commit is a whole number from 0, not ${offset}`);
    }
    const assigned = this.#ports.find(given);
    const named = withTopicId({ topic, partition }, given.topicId ?? assigned?.topicId);
    if (assigned !== undefined && offset < assigned.committedOffset) assigned.rewind();
    return { offset: { ...named, offset, leaderEpoch, metadata, rewinds: assigned?.rewinds }, assigned };
  }

  async #commit(
    entries: readonly Entry[],
    timeoutMs = this.#options.defaultApiTimeoutMs,
    given?: Committer,
  ): Promise<void> {
    if (entries.length === 0) return;
    const committer = given ?? this.#ports.committer();
    const offsets = entries.map(({ offset }) => offset);
    const outcomes = await committer.commit(offsets, { timeoutMs });
    outcomes.forEach(({ error }, index) => error === undefined && confirm(entries[index]));
    const refused = outcomes.filter(({ error }) => error !== undefined);
    if (refused[0]?.error !== undefined) throw refusal(refused[0].error, refused);
  }

  #warn(error: BarnabasError): void {
    this.#router.environment.logger.warn('offsets could not be committed', {
      group: this.#options.groupId,
      error: error.message,
      action:
        error.action === 'rejoin'
          ? 'nothing: others go on with the partitions from the last commit'
          : 'look at the coordinator of the group; what was not committed is read again after a restart',
    });
  }
}

function entryOf(assigned: AssignedPartition, { offset, leaderEpoch }: PartitionPosition): Entry {
  const { topic, partition, topicId, rewinds } = assigned;
  const at = { ...withTopicId({ topic, partition }, topicId), offset, leaderEpoch, metadata: '', rewinds };
  return { offset: at, assigned };
}

function withTopicId<T extends TopicPartition>(one: T, topicId: string | undefined): T & { readonly topicId?: string } {
  return topicId === undefined ? one : { ...one, topicId };
}

function isNews({ offset: { offset }, assigned }: Entry): boolean {
  return offset >= 0 && offset !== assigned?.committedOffset;
}

function confirm(entry: Entry | undefined): void {
  const { assigned, offset } = entry ?? {};
  if (assigned !== undefined && offset !== undefined) assigned.committedOffset = offset.offset;
}

function refusal(error: BarnabasError, refused: readonly CommitOutcome[]): BarnabasError {
  const names = refused.map(({ topic, partition }) => partitionName(topic, partition));
  const text = `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''} cannot be committed: ${error.message}`;
  return new BarnabasError(error.errorName, text, { partitions: names.length }, { cause: error });
}
