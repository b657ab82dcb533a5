/**
 * The leader's part: followers that ask and acknowledge, the high watermark, and the in-sync set.
 *
 * Does not own: what a leader knows of its followers (leader-state.ts), how a proposal gets to the
 * controller (runtime/isr-proposals.ts).
 * Protocol: docs/protocols/replication.md, section 4.
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { Emit, EventOf } from './events.js';
import type { Follow, FollowSink } from './follow.js';
import type { IsrProposal } from './isr.js';
import type { BrokerView } from './leader-state.js';
import type { Partition } from './partition.js';
import type { ProduceControl } from './produce-control.js';
import * as refusals from './refusals.js';

export interface LeaderControlOptions<Token> {
  readonly emit: Emit<Token>;
  readonly produce: ProduceControl<Token>;
  readonly replicaLagTimeMaxMs: number;
  readonly viewOf: (brokerId: number) => BrokerView | undefined;
}

export class LeaderControl<Token> {
  #started = false;

  constructor(private readonly options: LeaderControlOptions<Token>) {}

  /** From here on the in-sync set may be changed. */
  start(): void {
    this.#started = true;
  }

  followed({ partition, follow, sink }: EventOf<Token, 'followed'>): void {
    const error = followRefusal(partition, follow);
    if (error !== undefined) {
      this.options.emit({ type: 'endFollow', sink, error });
      return;
    }
    partition.leading?.follower(follow.brokerId)?.follows(follow, sink);
    this.options.emit({ type: 'position', partition, follow, sink });
  }

  unfollowed({ partition, brokerId, sink }: EventOf<Token, 'unfollowed'>): void {
    const follower = partition.leading?.follower(brokerId);
    // What it has acknowledged stays true; but nobody is admitted who does not follow.
    if (follower?.sink === sink) follower.sink = undefined;
  }

  progress(event: EventOf<Token, 'followerProgress'>): void {
    const { partition, brokerId, sink, logEndOffset, logStartOffset, now } = event;
    const follower = partition.leading?.follower(brokerId);
    // Said on an earlier stream, or in an earlier epoch: that log may not be there any more.
    if (follower === undefined || follower.sink !== sink || partition.log.kind !== 'online') return;
    const startBefore = follower.logStartOffset;
    follower.acknowledged(logEndOffset, logStartOffset, partition.logEndOffset, now);
    this.commit(partition);
    this.admit(partition);
    if (logStartOffset !== startBefore) this.options.emit({ type: 'replicasMoved', partition });
  }

  /** Moves the high watermark as far as the ISR allows, answers what that satisfies, tells readers. */
  commit(partition: Partition<Token>): void {
    if (!partition.advanceHighWatermark()) return;
    this.options.produce.committed(partition);
    this.options.emit({ type: 'highWatermark', partition });
  }

  /** Proposes everybody who may join now. */
  admit(partition: Partition<Token>): void {
    const { leading } = partition;
    if (leading === undefined || !this.#started || partition.log.kind !== 'online') return;
    if (partition.isr.length === partition.replicas.length) return;
    const proposal = leading.admission(partition, this.options.viewOf);
    if (proposal !== undefined) this.#propose(partition, proposal);
  }

  /** Proposes an ISR without those who lag; and again whoever may join, if nobody has to leave. */
  check(partition: Partition<Token>, now: number): void {
    const { leading } = partition;
    if (leading === undefined || !leading.hasFollowers) return;
    if (!this.#started || partition.log.kind !== 'online') return;
    const removal = leading.removal(partition.logEndOffset, now, this.options.replicaLagTimeMaxMs);
    if (removal === undefined) this.admit(partition);
    else this.#propose(partition, removal);
  }

  answered({ partition, proposal, answer, now }: EventOf<Token, 'isrAnswered'>): void {
    const { leading } = partition;
    // Of an earlier epoch, or overtaken by the metadata log.
    if (leading === undefined || leading.isr.pending !== proposal) return;
    if (answer.kind !== 'committed') {
      const again = leading.isr.answered(answer, leading.memberOf);
      if (again !== undefined) this.options.emit({ type: 'proposeIsr', partition, proposal: again, again: true });
      return;
    }
    // With another leader or epoch the metadata log says what this means; until then the change counts.
    if (answer.leader !== partition.leader || answer.leaderEpoch !== partition.leaderEpoch) return;
    if (answer.partitionEpoch <= partition.partitionEpoch) return;
    const from = partition.isr;
    this.endAll(partition.isrCommitted(answer, now), () => superseded(partition));
    this.isrCommitted(partition, from);
  }

  /** The committed ISR, or the replicas, are others now. */
  isrCommitted(partition: Partition<Token>, from: readonly number[]): void {
    // A smaller ISR, or one that is large enough again, may allow what another held back.
    this.commit(partition);
    this.admit(partition);
    if (from.length !== partition.isr.length || from.some((id) => !partition.isr.includes(id))) {
      this.options.emit({ type: 'isrChanged', partition, from });
    }
    this.options.emit({ type: 'replicasMoved', partition });
  }

  endAll(sinks: readonly FollowSink[], why: () => BarnabasError): void {
    if (sinks.length === 0) return;
    const error = why();
    for (const sink of sinks) this.options.emit({ type: 'endFollow', sink, error });
  }

  #propose(partition: Partition<Token>, proposal: IsrProposal): void {
    partition.leading?.isr.propose(proposal);
    this.options.emit({ type: 'proposeIsr', partition, proposal, again: false });
  }
}

/** What a follower is told that must ask anew because the replicas have changed. */
export function superseded<Token>(partition: Partition<Token>): BarnabasError {
  return refusals.replicaNotReady(partition, 'its replicas have changed');
}

function followRefusal<Token>(partition: Partition<Token>, follow: Follow): BarnabasError | undefined {
  if (partition.log.kind === 'removed') return refusals.unknownTopicId(partition);
  const error = partition.epochRefusal(follow.leaderEpoch);
  if (error !== undefined) return error;
  const { leading } = partition;
  if (leading === undefined) return refusals.notLeader(partition, partition.leader, partition.leaderEpoch);
  const follower = leading.follower(follow.brokerId);
  if (follower === undefined) return refusals.notReplica(partition, follow.brokerId);
  if (follow.brokerEpoch < follower.brokerEpoch) {
    return refusals.staleFollower(follow.brokerId, follow.brokerEpoch, follower.brokerEpoch);
  }
  // Race 9: it may not have heard yet that it was removed and added again.
  if (follow.partitionEpoch < follower.notBefore) return superseded(partition);
  if (partition.log.kind === 'offline') return refusals.offline(partition, partition.log.reason);
  if (partition.log.kind !== 'online') return refusals.replicaNotReady(partition, 'its log is being opened');
  return undefined;
}
