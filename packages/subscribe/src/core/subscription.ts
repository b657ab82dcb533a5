/**
 * One Subscribe stream as the node sees it: what the client says, what becomes of its membership, and
 * what is fetched, in; what is to be done, out. Does no I/O and knows no clock.
 *
 * After each input whoever drives it does what `takeEffects` says, in order, then writes what `nextPush`
 * gives, as long as the stream takes it, and comes back with `tick` at `deadlineMs`. Each of these may
 * make new effects, which come before the next push.
 *
 * Invariants, beside those of its parts:
 *   S1  what is pushed and not acknowledged is what credit was taken for and not given back (BY_ACK)
 *   S2  after `leave` nothing more is pushed, committed or released
 * Protocol: docs/protocols/groups.md, section 8.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { Assignment } from './assignment.js';
import { Commits } from './commits.js';
import type { SettledPosition } from './commits.js';
import { assignedMessage, joinedMessage, partitionErrorMessage } from './messages.js';
import type { OwnedPartition } from './owned-partition.js';
import { Reading } from './reading.js';
import { SessionState } from './session-state.js';
import type {
  Assigned,
  CommitOutcomes,
  Effect,
  FetchedRecords,
  Located,
  MemberIdentity,
  Position,
  Push,
  SubscriptionSettings,
  TopicPartition,
} from './types.js';

/** How long the last commit of a client that leaves may take. */
const LAST_COMMIT_MS = 5_000;
/** Text that is kept for each partition. */
const MAX_METADATA_LENGTH = 32_768;

export class Subscription {
  readonly #state: SessionState;
  readonly #reading: Reading;
  readonly #commits: Commits;
  readonly #assignment: Assignment;
  #leaveAtMs = Infinity;
  #hasLeft = false;

  constructor(settings: SubscriptionSettings, nowMs: number) {
    this.#state = new SessionState(settings);
    this.#state.lastSignMs = nowMs;
    this.#reading = new Reading(this.#state);
    this.#commits = new Commits(this.#state, nowMs, (settled, atMs) => this.#onSettled(settled, atMs));
    this.#assignment = new Assignment(this.#state, this.#reading, this.#commits);
  }

  takeEffects(): readonly Effect[] {
    return this.#state.takeEffects();
  }

  /** There is something to do; `nextPush` too may have made it. */
  get hasEffects(): boolean {
    return this.#state.hasEffects;
  }

  /** The next parcel to write, if there is one and credit for it. */
  nextPush(nowMs: number): Push | undefined {
    if (this.#state.isClosing) return undefined;
    const push = this.#reading.next(nowMs);
    if (this.#state.isAtMostOnce) this.#goAhead(nowMs);
    return push;
  }

  /** The client is to be read from no further for now: too much of what it asked for is open. */
  get isBusy(): boolean {
    return this.#commits.isBusy;
  }

  get unacknowledgedRecords(): number {
    return this.#state.unacknowledgedRecords;
  }

  get partitions(): readonly TopicPartition[] {
    return [...this.#state.partitions.values()];
  }

  /** Whether anybody waits for what is fetched or looked up under it. */
  isCurrent(generation: number): boolean {
    return this.#state.byGeneration.has(generation);
  }

  /** For checks. */
  get state(): SessionState {
    return this.#state;
  }

  /** When to call `tick` at the latest. */
  get deadlineMs(): number {
    if (this.#hasLeft) return Infinity;
    return Math.min(this.#leaveAtMs, this.#pollDeadlineMs, this.#commits.deadlineMs, this.#assignment.deadlineMs);
  }

  joined(identity: MemberIdentity): void {
    this.#state.memberEpoch = identity.memberEpoch;
    this.#state.send(joinedMessage(identity));
  }

  /** The member's epoch has moved, and nothing else. */
  epochMoved(memberEpoch: number): void {
    if (memberEpoch === this.#state.memberEpoch) return;
    this.#state.memberEpoch = memberEpoch;
    this.#state.send(assignedMessage(memberEpoch, []));
  }

  assigned(partitions: readonly Assigned[], memberEpoch: number): void {
    this.#state.memberEpoch = memberEpoch;
    if (this.#hasLeft) return;
    this.#assignment.assigned(partitions);
  }

  revoked(partitions: readonly TopicPartition[], graceMs: number, nowMs: number): void {
    this.#assignment.revoked(partitions, graceMs, nowMs);
    this.#proceed(nowMs);
  }

  lost(error: BarnabasError, nowMs: number): void {
    this.#assignment.lost(error);
    this.#proceed(nowMs);
  }

  fetched(generation: number, records: FetchedRecords): void {
    this.#reading.fetched(generation, records);
  }

  fetchEnded(generation: number, error: BarnabasError, nowMs: number): void {
    this.#reading.fetchEnded(generation, error, nowMs);
    this.#proceed(nowMs);
  }

  located(found: readonly Located[], nowMs: number): void {
    this.#reading.located(found);
    this.#proceed(nowMs);
  }

  committed(commitId: number, outcomes: CommitOutcomes | BarnabasError, nowMs: number): void {
    this.#commits.settled(commitId, outcomes, nowMs);
    this.#proceed(nowMs);
  }

  /** Throws INVALID_REQUEST where the stream is not to go on. */
  request({ request }: v1.SubscribeRequest, nowMs: number): void {
    if (this.#state.isClosing) return;
    this.#state.lastSignMs = nowMs;
    this.#act(request);
    this.#proceed(nowMs);
  }

  /** The client has said all that it will say, in good order: it leaves, when what it acknowledged is committed. */
  clientClosed(nowMs: number): void {
    this.#close();
    this.#leaveAtMs = Math.min(this.#leaveAtMs, nowMs + LAST_COMMIT_MS);
    if (this.#state.autoCommits) for (const owned of this.#state.partitions.values()) this.#commits.finish(owned);
    this.#proceed(nowMs);
  }

  tick(nowMs: number): void {
    if (this.#hasLeft) return;
    if (nowMs >= this.#pollDeadlineMs) {
      this.#leave(
        new BarnabasError(
          'UNKNOWN_MEMBER_ID',
          `the client has said nothing for ${this.#state.settings.maxPollIntervalMs} ms although it has records: the member has left its group. Acknowledge, or say alive, more often; or raise max_poll_interval_ms`,
        ),
      );
      return;
    }
    this.#reading.tick(nowMs);
    this.#assignment.tick(nowMs);
    this.#proceed(nowMs);
  }

  get #pollDeadlineMs(): number {
    if (this.#state.unacknowledgedRecords === 0 || this.#state.isClosing) return Infinity;
    return this.#state.lastSignMs + this.#state.settings.maxPollIntervalMs;
  }

  #act(request: v1.SubscribeRequest['request']): void {
    switch (request?.$case) {
      case 'credit':
        this.#state.credits.grant(request.credit);
        return;
      case 'ack':
        for (const position of request.ack.positions) this.#acknowledge(position);
        return;
      case 'commit':
        this.#commit(request.commit);
        return;
      case 'seek':
        this.#reading.seek(request.seek);
        return;
      case 'pause':
        for (const owned of this.#owned(request.pause.paused)) this.#reading.pause(owned);
        for (const owned of this.#owned(request.pause.resumed)) this.#reading.resume(owned);
        return;
      case 'released':
        this.#assignment.released(request.released.partitions);
        return;
      case 'change':
        this.#state.emit({ kind: 'change', ...request.change });
        return;
      case 'rebalance':
        this.#state.emit({ kind: 'rebalance' });
        return;
      case 'alive':
        return;
      case 'start':
        throw new BarnabasError('INVALID_REQUEST', 'start is the first message, and said once: a stream is one member');
      case undefined:
        throw new BarnabasError('INVALID_REQUEST', 'a message of Subscribe says one thing; this one says nothing');
    }
  }

  #acknowledge(given: v1.SubscribePosition): void {
    const owned = this.#state.find(given);
    if (owned?.isTold !== true || this.#reading.isSeeking(owned)) return;
    const position = positionOf(given);
    const problem = this.#problemOf(owned, position);
    if (problem === undefined) this.#advance(owned, position);
    else this.#state.send(partitionErrorMessage(owned, problem));
  }

  #commit({ correlationId, positions }: v1.SubscribeCommit): void {
    const asked = positions.map((given) => {
      const { topic, partition } = given;
      const position = positionOf(given);
      if (position.offset < 0) throw illegalOffset(given, position.offset);
      const owned = this.#state.find(given);
      // What is committed is done with, as far as it was pushed.
      if (owned?.isTold === true && !this.#reading.isSeeking(owned) && position.offset <= owned.pushedUntil) {
        this.#advance(owned, position);
      }
      return { topic, partition, position };
    });
    this.#commits.ask(correlationId, asked);
  }

  #advance(owned: OwnedPartition, position: Position): void {
    const { acknowledged } = owned;
    if (acknowledged !== undefined && position.offset < acknowledged.offset) return;
    owned.acknowledged = position;
    this.#state.acknowledge(owned, position.offset);
    this.#assignment.acknowledged(owned);
  }

  #problemOf(owned: OwnedPartition, { offset, metadata }: Position): BarnabasError | undefined {
    const { topic, partition, pushedUntil } = owned;
    if (offset < 0) return illegalOffset(owned, offset);
    if (offset > pushedUntil) {
      return new BarnabasError(
        'INVALID_REQUEST',
        `position ${offset} of ${topic}-${partition} cannot be acknowledged: pushed is what is below ${pushedUntil}. A position is next_offset of a message, or a record's offset plus 1; between a seek and its sought nothing of before is to be acknowledged`,
        { topic, partition, offset, pushedUntil },
      );
    }
    if (metadata.length <= MAX_METADATA_LENGTH) return undefined;
    return new BarnabasError(
      'OFFSET_METADATA_TOO_LARGE',
      `the metadata of a position has at most ${MAX_METADATA_LENGTH} characters, and at most offset.metadata.max.bytes of the cluster`,
      { topic, partition, length: metadata.length },
    );
  }

  #owned(partitions: readonly TopicPartition[]): OwnedPartition[] {
    return partitions.flatMap((partition) => {
      const owned = this.#state.find(partition);
      return owned?.isTold === true && owned.revocation === undefined ? [owned] : [];
    });
  }

  #onSettled({ owned, position, isCurrent, error }: SettledPosition, nowMs: number): void {
    const upTo = error === undefined && isCurrent ? position.offset : -1;
    for (const held of owned.held) held.isCommitted ||= held.parcel.nextOffset <= upTo;
    this.#assignment.settled(owned, error);
    if (error === undefined || owned.held.length === 0) return;
    // Where it is not known whether it is committed, it is committed again. Where it is refused, it will not
    // be pushed: reading goes back to where what is pushed ends, or those records would be skipped.
    if (error.action !== 'fix-request' && error.errorName !== 'STALE_MEMBER_EPOCH') return;
    this.#reading.takeBack(owned, error, nowMs);
  }

  /** With delivery at most once: what may be pushed next is committed first. */
  #goAhead(nowMs: number): void {
    this.#reading.hold();
    for (const owned of this.#state.partitions.values()) {
      const last = owned.held.at(-1);
      if (last === undefined || last.isCommitted || this.#commits.isCommitting(owned)) continue;
      const { nextOffset: offset, leaderEpoch } = last.parcel;
      this.#commits.ahead(owned, { offset, leaderEpoch, metadata: '' });
    }
    this.#commits.flow(nowMs);
  }

  #proceed(nowMs: number): void {
    if (this.#hasLeft) return;
    if (this.#state.isAtMostOnce && !this.#state.isClosing) this.#goAhead(nowMs);
    this.#commits.flow(nowMs);
    if (this.#state.isClosing && (this.#commits.isIdle || nowMs >= this.#leaveAtMs)) this.#leave(undefined);
  }

  #close(): void {
    this.#state.isClosing = true;
    for (const owned of this.#state.partitions.values()) {
      this.#reading.halt(owned);
      this.#commits.takeBack(owned);
    }
  }

  #leave(error: BarnabasError | undefined): void {
    this.#close();
    this.#hasLeft = true;
    this.#state.emit({ kind: 'leave', error });
  }
}

function positionOf({ offset, leaderEpoch, metadata }: v1.SubscribePosition): Position {
  return { offset, leaderEpoch: leaderEpoch ?? -1, metadata };
}

function illegalOffset({ topic, partition }: TopicPartition, offset: number): BarnabasError {
  return new BarnabasError('INVALID_REQUEST', `${offset} is no position of ${topic}-${partition}: it is 0 or more`, {
    topic,
    partition,
    offset,
  });
}
