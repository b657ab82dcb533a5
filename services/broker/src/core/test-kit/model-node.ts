/**
 * One life of a broker in the model cluster, and the streams between two such lives: the real core with
 * a log in memory, of which only what is synced is sure. Holds state; what happens to it is decided by
 * model-cluster.ts.
 */
import type { Follow, FollowPosition, FollowSink, LeaderMark } from '../follow.js';
import type { Partition } from '../partition.js';
import { ReplicaManager } from '../replica-manager.js';

export const LAG_MS = 100;

export interface Entry {
  readonly epoch: number;
  readonly value: number;
}

export interface Token {
  readonly value: number;
  readonly acks: 'leader' | 'all';
}

export type ToLeader =
  | { readonly kind: 'follow'; readonly handle: number; readonly follow: Follow }
  | { readonly kind: 'acknowledge'; readonly handle: number; readonly logEndOffset: number; readonly start: number };
export type ToFollower =
  | { readonly kind: 'hello' }
  | {
      readonly kind: 'position';
      readonly handle: number;
      readonly position: FollowPosition;
      readonly mark: LeaderMark;
    }
  | { readonly kind: 'batches'; readonly handle: number; readonly entries: readonly Entry[]; readonly mark: LeaderMark }
  | { readonly kind: 'mark'; readonly handle: number; readonly mark: LeaderMark }
  | { readonly kind: 'ended'; readonly handle: number };

/** What a leader serves under one handle. */
export interface Served {
  readonly sink: FollowSink;
  position: number | undefined;
}

/** One stream, from a life of a follower to a life of a leader. */
export class Stream {
  readonly toLeader: ToLeader[] = [];
  readonly toFollower: ToFollower[] = [{ kind: 'hello' }];
  readonly served = new Map<number, Served>();
  accepted = false;
  /** Each end may have given it up without the other knowing. */
  leaderGone = false;
  followerGone = false;

  constructor(
    readonly follower: Node,
    readonly leader: Node,
    readonly brokerEpoch: number,
    readonly session: number,
  ) {}
}

/** One life of a broker. */
export class Node {
  readonly manager: ReplicaManager<Token>;
  /** Log offsets begin at 0: nothing is deleted. */
  stable: number;
  wantsLink = -1;
  link: Stream | undefined;
  linkedHandle = 0;
  readonly incoming = new Map<number, Stream>();
  heard = 0;
  isOver = false;
  /** File work that is on its way; undefined: none. */
  fileWork: (() => void) | undefined;

  constructor(
    readonly id: number,
    readonly brokerEpoch: number,
    public log: Entry[],
  ) {
    this.manager = new ReplicaManager<Token>(id, { replicaLagTimeMaxMs: LAG_MS });
    this.stable = log.length;
  }

  get partition(): Partition<Token> | undefined {
    return this.manager.findById('id-1', 0);
  }

  latestEpoch(): number {
    return this.log.at(-1)?.epoch ?? -1;
  }

  /** As the real log has it: the largest epoch that is not above, and where it ends. */
  endOffsetForEpoch(epoch: number): { leaderEpoch: number; endOffset: number } | undefined {
    const next = this.log.findIndex((entry) => entry.epoch > epoch);
    const endOffset = next === -1 ? this.log.length : next;
    const last = this.log[endOffset - 1];
    return last === undefined ? undefined : { leaderEpoch: last.epoch, endOffset };
  }
}
