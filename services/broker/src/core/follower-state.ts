/**
 * One partition as a follower of one leader in one leader epoch: what it waits for. Made anew with
 * each leader and epoch; what was meant for an earlier one bears another handle and is dropped.
 *
 *   idle        the log is not online                          -> attached
 *   attached    waits for a stream to the leader               -> asking
 *   asking      has said where its log ends                    -> fetching, pausing, idle (truncation)
 *   fetching    logs agree; batches come                       -> pausing
 *   pausing     was refused; asks again after a while          -> attached
 * A stream that breaks takes asking, fetching and pausing back to attached.
 * Protocol: docs/protocols/replication.md, section 5.
 */

export type FollowerPhase = 'idle' | 'attached' | 'asking' | 'fetching' | 'pausing';

/** No question is open. */
export const NO_HANDLE = 0;

export class FollowerState {
  phase: FollowerPhase = 'idle';
  /** Of the question that is open or has been agreed on. */
  handle = NO_HANDLE;
  /** Refusals in a row. */
  attempts = 0;
  /** The leader's high watermark, as it last said. */
  leaderHighWatermark = -1;
  /** The leader's log end, as it last said. */
  leaderLogEndOffset = -1;
  /** The leader's log start, as it last said. */
  leaderLogStartOffset = -1;
  /** Up to where the log is being cut off at its start. */
  logStartAsked = -1;

  constructor(
    readonly leader: number,
    readonly leaderEpoch: number,
  ) {}

  /** Whether what has come belongs to the question that is open. */
  expects(phase: FollowerPhase, handle: number): boolean {
    return this.phase === phase && this.handle === handle;
  }
}
