/**
 * What is committed, and when: acknowledged positions from time to time, what the client asks for at
 * once, what a partition leaves behind when it goes, and, with delivery at most once, the position
 * behind what is about to be pushed.
 *
 * Invariants:
 *   C1  one commit is on its way at a time, so that none overtakes another
 *   C2  a position is committed as one of the life in which it was asked for: none from before a seek undoes what
 *       was committed after it, and none from after it is taken for a late one
 *   C3  each SubscribeCommit is answered once
 */
import { BarnabasError, errorToProto } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { committedMessage, partitionErrorMessage, partitionMessage } from './messages.js';
import type { OwnedPartition } from './owned-partition.js';
import type { SessionState } from './session-state.js';
import type { CommitOutcomes, Position, TopicPartition } from './types.js';

/** A SubscribeCommit, and what has become of its positions so far. */
interface Asked {
  readonly correlationId: number;
  readonly partitions: readonly TopicPartition[];
  readonly errors: (BarnabasError | undefined)[];
  open: number;
  /** Why a commit failed as a whole. */
  failure: BarnabasError | undefined;
}

/** A position that is to be committed. */
interface Wanted {
  readonly owned: OwnedPartition;
  position: Position;
  seeks: number;
  /** Who waits for it. */
  readonly askers: { readonly asked: Asked; readonly index: number }[];
}

/** What became of a position. */
export interface SettledPosition {
  readonly owned: OwnedPartition;
  readonly position: Position;
  /** The partition has not been moved since it was asked for. */
  readonly isCurrent: boolean;
  readonly error: BarnabasError | undefined;
}

/** After a commit that failed for a reason that may pass, for what nobody waits. */
const RETRY_AFTER_MS = 1_000;
/** A client with more than this unanswered is not read from. */
const MAX_UNANSWERED = 100;

export class Commits {
  readonly #state: SessionState;
  readonly #onSettled: (settled: SettledPosition, nowMs: number) => void;
  readonly #wanted = new Map<OwnedPartition, Wanted>();
  #onItsWay: { readonly commitId: number; readonly wanted: readonly Wanted[] } | undefined;
  #commits = 0;
  #unanswered = 0;
  #nextAutoMs: number;
  /** No commit that nobody asked for before this. */
  #notBeforeMs = -Infinity;

  /** `onSettled`: a position of the partition was committed, or could not be. */
  constructor(state: SessionState, nowMs: number, onSettled: (settled: SettledPosition, nowMs: number) => void) {
    this.#state = state;
    this.#onSettled = onSettled;
    this.#nextAutoMs = nowMs + (state.settings.autoCommitIntervalMs ?? Infinity);
  }

  /** Too much of what the client asked for is open: it is to wait. */
  get isBusy(): boolean {
    return this.#unanswered >= MAX_UNANSWERED;
  }

  /** Nothing is to be committed, or on its way. */
  get isIdle(): boolean {
    return this.#onItsWay === undefined && this.#wanted.size === 0;
  }

  /** When something falls due by itself. */
  get deadlineMs(): number {
    if (this.#onItsWay !== undefined) return Infinity;
    const dueMs = this.#wanted.size > 0 ? -Infinity : this.#anyDirty() ? this.#nextAutoMs : Infinity;
    return Math.max(dueMs, this.#wanted.size > 0 && !this.#isAsked() ? this.#notBeforeMs : -Infinity);
  }

  isCommitting(owned: OwnedPartition): boolean {
    return this.#wanted.has(owned) || this.#onItsWay?.wanted.some((each) => each.owned === owned) === true;
  }

  /** The client asks: for these positions, or for all that is acknowledged. */
  ask(correlationId: number, positions: readonly (TopicPartition & { readonly position: Position })[]): void {
    const partitions = positions.length > 0 ? positions : this.#acknowledged();
    const asked: Asked = {
      correlationId,
      partitions,
      errors: partitions.map(() => undefined),
      open: partitions.length,
      failure: undefined,
    };
    this.#unanswered += 1;
    partitions.forEach((each, index) => {
      const owned = this.#state.find(each);
      if (owned?.isTold === true) this.#want(owned, each.position, { asked, index });
      else this.#answer({ asked, index }, notYours(each));
    });
    if (partitions.length === 0) this.#finish(asked);
  }

  /** What is acknowledged of it, before it goes. */
  finish(owned: OwnedPartition): void {
    if (owned.acknowledged !== undefined && owned.isDirty) this.#want(owned, owned.acknowledged);
  }

  /** With delivery at most once: the position behind what is held. */
  ahead(owned: OwnedPartition, position: Position): void {
    this.#want(owned, position);
  }

  /**
   * With delivery at most once: what is held and will not be pushed is dropped. Its position may be committed
   * already; the next owner is to get it, so the commit goes back to where what was pushed ends.
   */
  takeBack(owned: OwnedPartition): void {
    this.#state.dropHeld(owned, () => true);
    if (!owned.isAhead) return;
    owned.isAhead = false;
    owned.seeks += 1;
    this.#want(owned, { offset: owned.pushedUntil, leaderEpoch: -1, metadata: '' });
  }

  /** Sends what is due, unless something is on its way. */
  flow(nowMs: number): void {
    if (this.#onItsWay !== undefined) return;
    if (this.#state.autoCommits && nowMs >= this.#nextAutoMs) {
      for (const owned of this.#state.partitions.values()) if (owned.isTold) this.finish(owned);
      if (this.#wanted.size > 0) this.#nextAutoMs = nowMs + (this.#state.settings.autoCommitIntervalMs ?? Infinity);
    }
    if (this.#wanted.size === 0 || (nowMs < this.#notBeforeMs && !this.#isAsked())) return;
    const wanted = [...this.#wanted.values()];
    this.#wanted.clear();
    const commitId = ++this.#commits;
    this.#onItsWay = { commitId, wanted };
    const offsets = wanted.map(({ owned: { topic, partition, rewinds: before }, position, seeks }) => {
      const rewinds = before === undefined ? undefined : before + seeks;
      return { topic, partition, ...position, rewinds };
    });
    this.#state.emit({ kind: 'commit', commitId, offsets });
  }

  /** What became of a commit: of each position, or of all of it. */
  settled(commitId: number, outcomes: CommitOutcomes | BarnabasError, nowMs: number): void {
    if (this.#onItsWay?.commitId !== commitId) return;
    const { wanted } = this.#onItsWay;
    this.#onItsWay = undefined;
    const failure = outcomes instanceof BarnabasError ? outcomes : undefined;
    const mayPass = outcomes instanceof BarnabasError || outcomes.some((error) => error?.retriable === true);
    if (mayPass) this.#notBeforeMs = nowMs + RETRY_AFTER_MS;
    wanted.forEach((each, index) => {
      const error = outcomes instanceof BarnabasError ? outcomes : outcomes[index];
      this.#settle(each, error, nowMs);
      for (const asker of each.askers) {
        asker.asked.failure ??= failure;
        this.#answer(asker, error);
      }
    });
  }

  /** The partition is lost: nothing of it can be committed any more. */
  forget(owned: OwnedPartition, error: BarnabasError): void {
    const wanted = this.#wanted.get(owned);
    this.#wanted.delete(owned);
    for (const asker of wanted?.askers ?? []) this.#answer(asker, error);
  }

  /** The membership is lost: an answer that comes late is of another one. */
  forgetOnItsWay(error: BarnabasError): void {
    const onItsWay = this.#onItsWay;
    this.#onItsWay = undefined;
    for (const { askers } of onItsWay?.wanted ?? []) for (const asker of askers) this.#answer(asker, error);
  }

  #want(owned: OwnedPartition, position: Position, asker?: Wanted['askers'][number]): void {
    const known = this.#wanted.get(owned);
    if (known === undefined) {
      this.#wanted.set(owned, { owned, position, seeks: owned.seeks, askers: asker === undefined ? [] : [asker] });
      return;
    }
    // As if both were committed in turn: the higher one stays, unless the client has moved in between.
    if (known.seeks !== owned.seeks || position.offset >= known.position.offset) known.position = position;
    known.seeks = owned.seeks;
    if (asker !== undefined) known.askers.push(asker);
  }

  #settle({ owned, position, seeks }: Wanted, error: BarnabasError | undefined, nowMs: number): void {
    if (error === undefined) {
      const isFirstOfItsLife = owned.committed === undefined || seeks > owned.committedSeeks;
      if (isFirstOfItsLife || position.offset >= (owned.committed?.offset ?? 0)) {
        owned.committed = position;
        owned.committedSeeks = seeks;
      }
    } else if (error.action === 'fix-request' && owned.acknowledged?.offset === position.offset) {
      owned.refused = owned.acknowledged;
      this.#state.send(partitionErrorMessage(owned, error));
    }
    this.#onSettled({ owned, position, isCurrent: seeks === owned.seeks, error }, nowMs);
  }

  #answer({ asked, index }: Wanted['askers'][number], error: BarnabasError | undefined): void {
    asked.errors[index] = error;
    asked.open -= 1;
    if (asked.open === 0) this.#finish(asked);
  }

  #finish({ correlationId, partitions, errors, failure }: Asked): void {
    this.#unanswered -= 1;
    const results = partitions.map((partition, index): v1.CommittedOffsetResult => {
      const error = errors[index];
      return { partition: partitionMessage(partition), error: error && errorToProto(error) };
    });
    this.#state.send(committedMessage(correlationId, results, failure));
  }

  #acknowledged(): (TopicPartition & { readonly position: Position })[] {
    const found = [];
    for (const owned of this.#state.partitions.values()) {
      const { topic, partition, acknowledged, isTold } = owned;
      if (isTold && acknowledged !== undefined && owned.isDirty)
        found.push({ topic, partition, position: acknowledged });
    }
    return found;
  }

  #anyDirty(): boolean {
    if (!this.#state.autoCommits) return false;
    for (const owned of this.#state.partitions.values()) if (owned.isTold && owned.isDirty) return true;
    return false;
  }

  #isAsked(): boolean {
    for (const { askers } of this.#wanted.values()) if (askers.length > 0) return true;
    return false;
  }
}

function notYours({ topic, partition }: TopicPartition): BarnabasError {
  return new BarnabasError(
    'STALE_MEMBER_EPOCH',
    `${topic}-${partition} is not this member's: only who owns a partition commits it`,
    { topic, partition },
  );
}
