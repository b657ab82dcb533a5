/**
 * What a leader knows of one follower, and how it sends to it.
 *
 *   probe      it does not know where the logs agree: one append at a time
 *   replicate  it does: appends go out one after another without waiting, up to a window
 *   snapshot   the follower needs entries that are gone: nothing is sent until it has the snapshot
 *
 * Legal transitions: probe -> replicate (an append was accepted), replicate -> probe (one was refused),
 * probe | replicate -> snapshot, snapshot -> replicate (it is installed), snapshot -> probe (it failed).
 *
 * Invariant: P1 matchIndex < nextIndex; matchIndex never falls.
 */
import { assert } from '@barnabas/common';
import type { NodeId, SnapshotMark } from './types.js';

export type ProgressState =
  | { readonly kind: 'probe' /** An append is out; wait for its answer or for the next heartbeat's. */; sent: boolean }
  | { readonly kind: 'replicate' /** Last index of each append not answered yet, in order. */; inflight: number[] }
  | { readonly kind: 'snapshot'; readonly mark: SnapshotMark };

export class Progress {
  state: ProgressState = { kind: 'probe', sent: false };
  matchIndex = 0;
  /** It has been heard since the last check of the quorum. */
  active = false;
  /** The commit index it was last told. */
  commitSent = 0;
  /** The last round of read barriers in which it confirmed this leader. */
  confirmedRound = 0;
  /** It may have missed appends: send one, if only an empty one, to find out. */
  nudge = false;

  constructor(
    readonly id: NodeId,
    public nextIndex: number,
  ) {}

  /** The follower holds everything up to here. */
  accepted(matchIndex: number): void {
    this.matchIndex = Math.max(this.matchIndex, matchIndex);
    this.nextIndex = Math.max(this.nextIndex, this.matchIndex + 1);
    const { state } = this;
    if (state.kind === 'replicate') {
      const firstOut = state.inflight.findIndex((lastIndex) => lastIndex > matchIndex);
      state.inflight.splice(0, firstOut === -1 ? state.inflight.length : firstOut);
    } else if (state.kind === 'probe' || matchIndex >= state.mark.index) {
      this.nextIndex = this.matchIndex + 1;
      this.state = { kind: 'replicate', inflight: [] };
    }
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
    this.state = { kind: 'probe', sent: false };
    this.#check();
    return true;
  }

  /** An answer to a heartbeat: the way is open, whatever was lost before. */
  heard(): void {
    this.active = true;
    if (this.state.kind === 'probe') this.state.sent = false;
  }

  awaitSnapshot(mark: SnapshotMark): void {
    this.state = { kind: 'snapshot', mark };
  }

  /** The snapshot could not be sent, or was and nothing came back: find out by an append, after the next heartbeat. */
  snapshotEnded(): void {
    if (this.state.kind !== 'snapshot') return;
    this.nextIndex = this.matchIndex + 1;
    this.state = { kind: 'probe', sent: true };
  }

  #check(): void {
    assert(this.matchIndex < this.nextIndex, 'P1 must hold', { match: this.matchIndex, next: this.nextIndex });
  }
}
