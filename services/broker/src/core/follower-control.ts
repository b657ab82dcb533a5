/**
 * The follower's part: asks its leader where their logs part, brings its own in line, takes batches,
 * acknowledges. One question at a time, each under a handle of its own.
 *
 * Does not own: streams (replication/), the log (the runtime does what the effects say).
 * Protocol: docs/protocols/replication.md, sections 3 and 5.
 */
import type { Emit, EventOf } from './events.js';
import { reshapeFor } from './follow.js';
import type { LeaderMark } from './follow.js';
import { NO_HANDLE } from './follower-state.js';
import type { FollowerState } from './follower-state.js';
import type { Partition } from './partition.js';
import * as refusals from './refusals.js';

/** Handles are uint32 on the wire. */
const MAX_HANDLE = 0xffff_ffff;

export interface FollowerControlOptions<Token> {
  readonly emit: Emit<Token>;
  readonly openLog: (partition: Partition<Token>) => void;
}

export class FollowerControl<Token> {
  #started = false;
  #lastHandle = NO_HANDLE;

  constructor(private readonly options: FollowerControlOptions<Token>) {}

  /** From here on leaders are followed. */
  start(): void {
    this.#started = true;
  }

  /** Begins with whatever the partition needs next to follow its leader, if it has one. */
  begin(partition: Partition<Token>): void {
    const { following } = partition;
    if (following === undefined || !this.#started) return;
    if (partition.log.kind === 'closed') this.options.openLog(partition);
    else if (partition.log.kind === 'online' && following.phase === 'idle') this.#attach(partition, following);
  }

  /**
   * The leader of before is followed no longer: whatever still comes for it, a stream that opens or a pause
   * that ends, finds nobody who waits.
   */
  end(partition: Partition<Token>, following: FollowerState): void {
    following.phase = 'idle';
    following.handle = NO_HANDLE;
    this.options.emit({ type: 'detach', partition, leader: following.leader });
  }

  /** The metadata log has said something new of a partition whose leader is the same: what was refused may go now. */
  reassigned(partition: Partition<Token>): void {
    const { following } = partition;
    if (following?.phase === 'pausing') this.#attach(partition, following);
  }

  linked({ partition }: EventOf<Token, 'linked'>): void {
    const { following } = partition;
    if (following?.phase !== 'attached') return;
    this.#lastHandle = this.#lastHandle === MAX_HANDLE ? NO_HANDLE + 1 : this.#lastHandle + 1;
    following.phase = 'asking';
    following.handle = this.#lastHandle;
    following.logStartAsked = -1;
    this.options.emit({ type: 'ask', partition, handle: following.handle });
  }

  unlinked({ partition, handle }: EventOf<Token, 'unlinked'>): void {
    const { following } = partition;
    if (following === undefined || following.handle !== handle || following.phase === 'idle') return;
    this.#attach(partition, following);
  }

  positioned({ partition, handle, position, mark, own }: EventOf<Token, 'positioned'>): void {
    const { following } = partition;
    if (following?.expects('asking', handle) !== true) return;
    if (position.kind === 'agreed') {
      following.phase = 'fetching';
      following.attempts = 0;
      this.#take(partition, following, mark);
      this.options.emit({ type: 'acknowledge', partition, handle });
      return;
    }
    const reshape = reshapeFor(partition, position, own, mark.logStartOffset);
    following.phase = 'idle';
    following.handle = NO_HANDLE;
    partition.opening();
    this.options.emit({ type: 'unavailable', partition, error: refusals.replicaTruncates(partition) });
    if (reshape.kind === 'truncate') this.options.emit({ type: 'truncateLog', partition, to: reshape.to });
    else this.options.emit({ type: 'restartLog', partition, at: reshape.at });
  }

  batches({ partition, handle, batches, mark }: EventOf<Token, 'batches'>): void {
    const { following } = partition;
    if (following?.expects('fetching', handle) !== true) return;
    this.#note(following, mark);
    this.options.emit({ type: 'replicate', partition, handle, batches });
  }

  replicated({ partition, endOffset }: EventOf<Token, 'replicated'>): void {
    partition.replicated(endOffset);
  }

  marked({ partition, handle, mark }: EventOf<Token, 'marked'>): void {
    const { following } = partition;
    if (following?.expects('fetching', handle) === true) this.#take(partition, following, mark);
  }

  /** The disk has more. */
  stable(partition: Partition<Token>): void {
    const { following } = partition;
    if (following === undefined) return;
    this.#advance(partition, following);
    if (following.phase !== 'fetching') return;
    this.options.emit({ type: 'acknowledge', partition, handle: following.handle });
  }

  logStartMoved(partition: Partition<Token>): void {
    const { following } = partition;
    if (following?.phase !== 'fetching') return;
    this.options.emit({ type: 'acknowledge', partition, handle: following.handle });
  }

  followEnded({ partition, handle }: EventOf<Token, 'followEnded'>): void {
    const { following } = partition;
    if (following === undefined || following.handle !== handle) return;
    if (following.phase !== 'asking' && following.phase !== 'fetching') return;
    following.phase = 'pausing';
    following.attempts += 1;
    this.options.emit({ type: 'pause', partition, handle, attempt: following.attempts });
  }

  paused({ partition, handle }: EventOf<Token, 'paused'>): void {
    const { following } = partition;
    if (following?.expects('pausing', handle) === true) this.#attach(partition, following);
  }

  #attach(partition: Partition<Token>, following: FollowerState): void {
    following.phase = 'attached';
    following.handle = NO_HANDLE;
    this.options.emit({ type: 'attach', partition, leader: following.leader });
  }

  #note(following: FollowerState, mark: LeaderMark): void {
    following.leaderHighWatermark = Math.max(following.leaderHighWatermark, mark.highWatermark);
    following.leaderLogEndOffset = mark.logEndOffset;
    following.leaderLogStartOffset = mark.logStartOffset;
  }

  #take(partition: Partition<Token>, following: FollowerState, mark: LeaderMark): void {
    this.#note(following, mark);
    this.#advance(partition, following);
  }

  /** As far as the own disk is: the high watermark first, since the log start may not pass it. */
  #advance(partition: Partition<Token>, following: FollowerState): void {
    if (partition.advanceHighWatermark()) this.options.emit({ type: 'highWatermark', partition });
    const logStartOffset = Math.min(following.leaderLogStartOffset, partition.stableEndOffset);
    if (logStartOffset <= Math.max(partition.logStartOffset, following.logStartAsked)) return;
    following.logStartAsked = logStartOffset;
    this.options.emit({ type: 'followLogStart', partition, logStartOffset });
  }
}
