/**
 * What a leader knows of one follower, and how it sends to it.
 *
 *   probe      it does not know where the logs agree: one append at a time
 *   replicate  it does: appends go out one after another without waiting, up to a window of so many
 *              messages and so many bytes
 *   snapshot   the follower needs entries that are gone: nothing is sent until it has the snapshot
 *
 * Legal transitions: probe -> replicate (an append was accepted), replicate -> probe (one was refused),
 * probe | replicate -> snapshot, snapshot -> replicate (it is installed, or what it holds is in the log
 * again), snapshot -> probe (it failed).
 *
 * Invariants:
 *   P1  matchIndex < nextIndex; matchIndex never falls
 *   P2  beyond one append, what is in flight fits into the window
 */
import { assert } from '@barnabas/common';
import type { Member, NodeId, SnapshotMark } from './types.js';

export interface Window {
  readonly messages: number;
  readonly bytes: number;
}

interface Inflight {
  readonly lastIndex: number;
  readonly bytes: number;
}

export type ProgressState =
  | { readonly kind: 'probe' /** An append is out; wait for its answer or for the next heartbeat's. */; sent: boolean }
  | { readonly kind: 'replicate' /** Appends not answered yet, in order. */; readonly inflight: Inflight[] }
  | { readonly kind: 'snapshot'; readonly mark: SnapshotMark };

/**
 * When a learner may vote (dissertation, 4.2.1): the log is sent in rounds, each up to where it ended
 * when the round began. A round that took no longer than an election time-out shows that the learner
 * would not hold up commits for longer than an election would.
 */
class CatchUp {
  #target: number;
  #ticks = 0;
  isDone = false;

  constructor(lastIndex: number) {
    this.#target = lastIndex;
  }

  tick(): void {
    this.#ticks++;
  }

  reached(matchIndex: number, lastIndex: number, electionTicks: number): void {
    if (matchIndex < this.#target) return;
    // Where nothing more has come meanwhile, the next round is over as it begins.
    this.isDone = this.#ticks <= electionTicks || matchIndex >= lastIndex;
    this.#target = lastIndex;
    this.#ticks = 0;
  }
}

export class Progress {
  state: ProgressState = { kind: 'probe', sent: false };
  matchIndex = 0;
  /** It has been heard since the last check of the quorum. */
  active = false;
  /** Checks of the quorum in a row in which it had not been heard. */
  silentChecks = 0;
  /** The commit index it was last told. */
  commitSent = 0;
  /** The last round of read barriers in which it confirmed this leader. */
  confirmedRound = 0;
  /** It may have missed appends: send one, if only an empty one, to find out. */
  nudge = false;
  #inflightBytes = 0;
  readonly #catchUp: CatchUp;

  constructor(
    public member: Member,
    public nextIndex: number,
  ) {
    this.#catchUp = new CatchUp(nextIndex - 1);
  }

  get id(): NodeId {
    return this.member.id;
  }

  /** It could vote without holding up commits for long. */
  get isCaughtUp(): boolean {
    return this.#catchUp.isDone && this.state.kind === 'replicate';
  }

  /** Nothing may be sent now but heartbeats. */
  isPaused(window: Window): boolean {
    switch (this.state.kind) {
      case 'probe':
        return this.state.sent;
      case 'replicate':
        return this.state.inflight.length >= window.messages || this.#inflightBytes >= window.bytes;
      case 'snapshot':
        return true;
    }
  }

  tick(): void {
    this.#catchUp.tick();
  }

  /** An append that ends at lastIndex has been sent. */
  sent(lastIndex: number, bytes: number): void {
    const { state } = this;
    if (state.kind === 'probe') {
      state.sent = true;
    } else if (state.kind === 'replicate' && lastIndex >= this.nextIndex) {
      this.nextIndex = lastIndex + 1;
      state.inflight.push({ lastIndex, bytes });
      this.#inflightBytes += bytes;
    }
  }

  /** The follower holds everything up to here. */
  accepted(
    matchIndex: number,
    log: { readonly lastIndex: number; readonly firstIndex: number },
    electionTicks: number,
  ): void {
    this.matchIndex = Math.max(this.matchIndex, matchIndex);
    this.nextIndex = Math.max(this.nextIndex, this.matchIndex + 1);
    const { state } = this;
    if (state.kind === 'replicate') {
      while (state.inflight[0] !== undefined && state.inflight[0].lastIndex <= matchIndex) {
        this.#inflightBytes -= state.inflight.shift()?.bytes ?? 0;
      }
    } else if (state.kind === 'probe' || matchIndex >= state.mark.index || this.nextIndex >= log.firstIndex) {
      // One that waits for a snapshot may have got as far by other means: by an append that was late.
      this.nextIndex = this.matchIndex + 1;
      this.#enter({ kind: 'replicate', inflight: [] });
    }
    this.#catchUp.reached(this.matchIndex, log.lastIndex, electionTicks);
    this.#check();
  }

  /**
   * The follower refused an append after prevIndex, and can agree at `agreeIndex` at most. False if
   * the refusal is out of date.
   */
  refused(prevIndex: number, agreeIndex: number): boolean {
    const { state } = this;
    if (state.kind === 'snapshot') return false;
    if (state.kind === 'replicate') {
      if (prevIndex <= this.matchIndex) return false;
      this.nextIndex = this.matchIndex + 1;
    } else {
      if (prevIndex !== this.nextIndex - 1) return false;
      this.nextIndex = Math.max(Math.min(prevIndex, agreeIndex + 1), this.matchIndex + 1);
    }
    this.#enter({ kind: 'probe', sent: false });
    this.#check();
    return true;
  }

  /** An answer to a heartbeat: the way is open, whatever was lost before. */
  heard(): void {
    this.active = true;
    if (this.state.kind === 'probe') this.state.sent = false;
  }

  awaitSnapshot(mark: SnapshotMark): void {
    this.#enter({ kind: 'snapshot', mark });
  }

  /** The snapshot could not be sent, or was and nothing came back: find out by an append, after the next heartbeat. */
  snapshotEnded(): void {
    if (this.state.kind !== 'snapshot') return;
    this.nextIndex = this.matchIndex + 1;
    this.#enter({ kind: 'probe', sent: true });
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.#inflightBytes = 0;
  }

  #check(): void {
    assert(this.matchIndex < this.nextIndex, 'P1 must hold', { match: this.matchIndex, next: this.nextIndex });
  }
}
