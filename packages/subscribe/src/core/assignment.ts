/**
 * What the client owns: partitions come, are asked back, and go.
 *
 * A revoked partition goes when the client says that it is done with it, when everything that was pushed
 * of it is acknowledged (unless only the client commits: then it has something to say yet), or when its
 * time is over; before it goes, what was acknowledged is committed.
 *
 * Invariants:
 *   A1  nothing is pushed of a partition from `revoked` on, until it is assigned anew
 *   A2  a partition is released after what was acknowledged of it was committed, or could not be
 *   A3  the client hears `revoked` or `lost` of what it was told, and of nothing else
 */
import { BarnabasError } from '@barnabas/protocol';
import type { Commits } from './commits.js';
import { assignedMessage, lostMessage, revokedMessage } from './messages.js';
import { OwnedPartition } from './owned-partition.js';
import type { Reading } from './reading.js';
import type { SessionState } from './session-state.js';
import type { Assigned, TopicPartition } from './types.js';

/** What is left of the coordinator's grace for the last commit and the confirmation. */
const MARGIN_MS = 2_000;
const MARGIN_SHARE = 0.25;

export class Assignment {
  readonly #state: SessionState;
  readonly #reading: Reading;
  readonly #commits: Commits;

  constructor(state: SessionState, reading: Reading, commits: Commits) {
    this.#state = state;
    this.#reading = reading;
    this.#commits = commits;
    for (const resumed of state.settings.resumed) {
      const owned = new OwnedPartition(resumed);
      const { offset, leaderEpoch, metadata } = resumed;
      owned.moveTo({ offset, leaderEpoch, metadata });
      owned.isTold = true;
      owned.reading = 'resumed';
      state.partitions.set(owned.key, owned);
    }
  }

  assigned(partitions: readonly Assigned[]): void {
    const begun: OwnedPartition[] = [];
    for (const { topic, partition, committed, rewinds } of partitions) {
      const known = this.#state.find({ topic, partition });
      const owned = known ?? new OwnedPartition({ topic, partition });
      if (known === undefined) this.#begin(owned, committed, begun);
      else if (known.reading === 'resumed') {
        if (!(committed instanceof BarnabasError)) known.committed = committed;
        begun.push(known);
      } else continue;
      owned.rewinds = rewinds;
    }
    // Also without any: the client needs the epoch to resume.
    this.#state.send(assignedMessage(this.#state.memberEpoch, begun));
    for (const owned of begun) this.#reading.begin(owned);
  }

  revoked(partitions: readonly TopicPartition[], graceMs: number, nowMs: number): void {
    const told: OwnedPartition[] = [];
    const clientMs = Math.max(0, Math.floor(graceMs - Math.min(MARGIN_MS, graceMs * MARGIN_SHARE)));
    for (const partition of partitions) {
      const owned = this.#state.find(partition);
      if (owned?.isTold !== true) {
        if (owned !== undefined) this.#forget(owned);
        this.#state.emit({ kind: 'release', partitions: [partition] });
        continue;
      }
      if (owned.revocation !== undefined) continue;
      this.#revoke(owned, nowMs + clientMs);
      told.push(owned);
    }
    if (told.length > 0) this.#state.send(revokedMessage(told, clientMs));
    for (const owned of told) this.#advance(owned);
  }

  /** The membership is over: all that was owned may be another's already. */
  lost(error: BarnabasError): void {
    this.#commits.forgetOnItsWay(error);
    this.#reading.forgetSeeks();
    const told: OwnedPartition[] = [];
    for (const owned of [...this.#state.partitions.values()]) {
      if (owned.isTold) told.push(owned);
      this.#commits.forget(owned, error);
      this.#forget(owned);
    }
    this.#state.send(lostMessage(told, error));
  }

  /** The client is done with it. */
  released(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      const owned = this.#state.find(partition);
      if (owned?.revocation === undefined) continue;
      owned.revocation.isDue = true;
      this.#advance(owned);
    }
  }

  /** Something of the partition was acknowledged. */
  acknowledged(owned: OwnedPartition): void {
    this.#advance(owned);
  }

  /** A commit of the partition is over. */
  settled(owned: OwnedPartition, error: BarnabasError | undefined): void {
    const { revocation } = owned;
    if (revocation === undefined || this.#state.partitions.get(owned.key) !== owned) return;
    revocation.hasFailed = error !== undefined;
    this.#advance(owned);
  }

  tick(nowMs: number): void {
    for (const owned of [...this.#state.partitions.values()]) {
      const { revocation } = owned;
      if (revocation === undefined || revocation.isDue || nowMs < revocation.deadlineMs) continue;
      revocation.isDue = true;
      this.#advance(owned);
    }
  }

  get deadlineMs(): number {
    let deadlineMs = Infinity;
    for (const { revocation, retryAtMs } of this.#state.partitions.values()) {
      deadlineMs = Math.min(deadlineMs, retryAtMs);
      if (revocation !== undefined && !revocation.isDue) deadlineMs = Math.min(deadlineMs, revocation.deadlineMs);
    }
    return deadlineMs;
  }

  #begin(owned: OwnedPartition, committed: Assigned['committed'], begun: OwnedPartition[]): void {
    this.#state.partitions.set(owned.key, owned);
    if (committed instanceof BarnabasError) {
      // Where its group was is not known: to begin anywhere else would skip records, or repeat them all.
      this.#reading.stop(owned, committed);
      return;
    }
    owned.committed = committed;
    const { autoOffsetReset } = this.#state.settings;
    if (committed !== undefined) {
      owned.moveTo(committed);
      owned.isTold = true;
      begun.push(owned);
    } else if (autoOffsetReset === 'none') {
      this.#reading.stopWithoutPosition(owned);
    } else {
      this.#reading.locate(owned, autoOffsetReset);
    }
  }

  #revoke(owned: OwnedPartition, deadlineMs: number): void {
    this.#reading.halt(owned);
    this.#reading.leaveSeek(owned);
    owned.retryAtMs = Infinity;
    owned.isPaused = false;
    owned.revocation = { deadlineMs, isDue: false, hasFailed: false };
    this.#commits.takeBack(owned);
  }

  /** Lets it go if nothing stands against that any more. */
  #advance(owned: OwnedPartition): void {
    const { revocation } = owned;
    if (revocation === undefined) return;
    revocation.isDue ||= this.#state.autoCommits && owned.unacknowledged.records === 0;
    if (!revocation.isDue) return;
    if (!revocation.hasFailed && this.#state.autoCommits) this.#commits.finish(owned);
    if (this.#commits.isCommitting(owned)) return;
    this.#forget(owned);
    this.#state.emit({ kind: 'release', partitions: [{ topic: owned.topic, partition: owned.partition }] });
  }

  #forget(owned: OwnedPartition): void {
    this.#reading.forget(owned);
    this.#state.partitions.delete(owned.key);
  }
}
