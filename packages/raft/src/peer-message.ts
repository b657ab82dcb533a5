/**
 * What goes between two voters: messages of the core, and the pieces of a snapshot, which the core
 * knows only as a mark (index and term).
 */
import type { Message, SnapshotMark } from './core/index.js';

/** A piece of the leader's snapshot. Each is answered before the next is sent. */
export interface SnapshotChunk {
  readonly type: 'snapshotChunk';
  readonly from: number;
  readonly to: number;
  readonly term: number;
  readonly snapshot: SnapshotMark;
  /** From 0. */
  readonly sequence: number;
  readonly last: boolean;
  readonly records: readonly Uint8Array[];
}

/** The follower has got a piece, on disk or about to be. */
export interface SnapshotChunkResponse {
  readonly type: 'snapshotChunkResponse';
  readonly from: number;
  readonly to: number;
  readonly term: number;
  readonly snapshot: SnapshotMark;
  /** The piece that it wants next. 0 makes the sender begin anew. */
  readonly nextSequence: number;
}

export type PeerMessage = Message | SnapshotChunk | SnapshotChunkResponse;
