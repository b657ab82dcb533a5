/**
 * What goes between two nodes: messages of the core; the pieces of a snapshot, which the core knows
 * only as a mark (index and term); and how a node without a vote makes itself known.
 */
import type { Configuration, Member, Message, SnapshotMark } from './core/index.js';

interface Envelope {
  readonly from: number;
  readonly fromDirectory: string;
  readonly to: number;
  readonly toDirectory: string;
  readonly term: number;
}

/** A piece of the leader's snapshot. A few are on their way at a time. */
export interface SnapshotChunk extends Envelope {
  readonly type: 'snapshotChunk';
  readonly snapshot: SnapshotMark;
  /** As of the snapshot. */
  readonly configuration: Configuration;
  /** From 0. */
  readonly sequence: number;
  readonly last: boolean;
  readonly records: readonly Uint8Array[];
}

/** The follower has got pieces, on disk or about to be. */
export interface SnapshotChunkResponse extends Envelope {
  readonly type: 'snapshotChunkResponse';
  readonly snapshot: SnapshotMark;
  /** The first piece that it has not got. 0 makes the sender begin anew. */
  readonly nextSequence: number;
}

/** From a node without a vote to whoever is at an address: I follow; send me the log if you lead. */
export interface Announce {
  readonly type: 'announce';
  readonly from: number;
  readonly fromDirectory: string;
  readonly term: number;
  /** Where it goes; the sender may not know who is there. */
  readonly toEndpoint: string;
  /** Where the sender is reached. */
  readonly endpoint: string;
}

/** Who votes, as far as the sender knows: whoever announced itself knows then whom else to tell. */
export interface AnnounceResponse extends Envelope {
  readonly type: 'announceResponse';
  readonly voters: readonly Member[];
}

export type PeerMessage = Message | SnapshotChunk | SnapshotChunkResponse | Announce | AnnounceResponse;

/** What a transport carries: an installSnapshot is sent as pieces, and made of the last one. */
export type CarriedMessage = Exclude<PeerMessage, { type: 'installSnapshot' }>;
