/**
 * One follower broker's stream, as the leader serves it: which partitions it follows, whose turn it
 * is, how much may be sent. Decides nothing about replicas: what a follower says goes to the driver.
 *
 * Invariants:
 *   S1  batches of a handle go out in order, each once, each beginning where the last ended; nothing
 *       follows its `ended`
 *   S2  batches go out only while the credit that they use is above 0, which one message may overdraw
 *   S3  at most MAX_READS messages are read ahead of a follower that does not read or grants no credit
 * Fairness: handles that have something to send take turns, one message each.
 * Protocol: docs/protocols/replication.md, section 3.
 */
import { InvariantError } from '@barnabas/common';
import type { PartitionLog, ReadResult } from '@barnabas/log';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { Fifo } from '../core/fifo.js';
import { refusals } from '../core/index.js';
import type { Follow, FollowPosition, FollowSink, LeaderMark } from '../core/index.js';
import type { BrokerMetrics } from '../runtime/metrics.js';
import type { ReplicaDriver, ReplicaPartition } from '../runtime/replica-driver.js';
import { baseOffsetOf } from './batch-offsets.js';
import { ended, markToProto, positionToProto, response } from './messages.js';
import type { LeaderThrottle } from './throttle.js';

/**
 * Reads on their way for one stream: enough to keep a disk busy while messages go out, and to put the
 * batches of many partitions into one message. Large ones are bounded by the credit that a read reserves.
 */
const MAX_READS = 32;
/** Far more than two brokers have in common; each costs memory, so there is an end. */
const MAX_HANDLES = 100_000;

/** What sessions share. */
export interface LeaderSessionOptions {
  readonly driver: ReplicaDriver;
  readonly metrics: BrokerMetrics;
  readonly throttle: LeaderThrottle;
  /** replica.fetch.max.bytes. */
  readonly maxMessageBytes: number;
  readonly onFault: (fault: InvariantError) => void;
}

/** Takes a message; false: full, `drained` will be called. */
export type Send = (message: internal.LeaderPart) => boolean;

export interface FollowerIdentity {
  readonly brokerId: number;
  readonly brokerEpoch: number;
}

/**
 *   opening   its log is being opened, or the core has not answered yet -> waiting
 *   waiting   nothing to send                                          -> ready
 *   ready     in line for its turn                                     -> reading
 *   reading   a read is on its way, or read and in line to be sent     -> waiting, ready
 *   ended     final
 */
type ServedState = 'opening' | 'waiting' | 'ready' | 'reading' | 'ended';

class Served implements FollowSink {
  state: ServedState = 'opening';
  log: PartitionLog | undefined;
  /** Offset of the next batch to send. */
  position: number;
  /** Its marks are to be sent. */
  isMarked = false;

  constructor(
    readonly handle: number,
    readonly partition: ReplicaPartition,
    readonly follow: Follow,
    public throttled: boolean,
    private readonly session: ServedEvents,
  ) {
    this.position = follow.logEndOffset;
  }

  get mark(): LeaderMark {
    return this.partition;
  }

  positioned(position: FollowPosition): void {
    this.session.positioned(this, position);
  }

  ended(error: BarnabasError): void {
    this.session.ended(this, error);
  }

  moved(): void {
    this.session.moved(this);
  }
}

interface ServedEvents {
  positioned(served: Served, position: FollowPosition): void;
  ended(served: Served, error: BarnabasError): void;
  moved(served: Served): void;
}

/** What a follower has said it has room for; reads on their way have taken their part. */
class Credit {
  #granted = 0;
  #reserved = 0;

  get isOpen(): boolean {
    return this.#granted > this.#reserved;
  }

  grant(bytes: number): void {
    this.#granted += bytes;
  }

  reserve(bytes: number): void {
    this.#reserved += bytes;
  }

  release(bytes: number): void {
    this.#reserved -= bytes;
  }

  spend(bytes: number): void {
    this.#granted -= bytes;
  }
}

interface Unsent {
  readonly served: Served;
  /** Reserved until it is sent or dropped. */
  readonly credit: Credit;
  readonly result: ReadResult;
  readonly bytes: number;
}

export class LeaderSession {
  readonly #handles = new Map<number, Served>();
  readonly #ready = new Fifo<Served>();
  /** Read, and waiting for credit or for the stream. */
  readonly #unsent = new Fifo<Unsent>();
  readonly #marked: Served[] = [];
  /** Out of the line until the leader's throttle, or the throttled credit, lets them in again. */
  readonly #heldBack = new Set<Served>();
  readonly #credit = new Credit();
  readonly #throttledCredit = new Credit();
  #reads = 0;
  #blocked = false;
  #closed = false;
  #marksDue = false;

  constructor(
    private readonly options: LeaderSessionOptions,
    readonly follower: FollowerIdentity,
    private readonly send: Send,
  ) {}

  get handles(): number {
    return this.#handles.size;
  }

  /** Throws INVALID_REQUEST for what no sound follower does; everything else ends the handle. */
  follow(request: internal.Follow): void {
    const { handle, topicId, partition: number } = request;
    if (this.#handles.has(handle)) throw invalid(`handle ${handle} is in use on this stream`);
    if (this.#handles.size >= MAX_HANDLES) throw invalid(`a stream follows at most ${MAX_HANDLES} partitions`);
    if (request.logStartOffset < 0 || request.logEndOffset < request.logStartOffset) {
      throw invalid(`a log does not go from ${request.logStartOffset} to ${request.logEndOffset}`);
    }
    const { driver } = this.options;
    const partition = driver.findById(topicId, number);
    if (partition === undefined) {
      this.#send(ended(handle, refusals.unknownTopicId({ topicId, partition: number })));
      return;
    }
    const served = new Served(handle, partition, this.#followOf(request), request.throttled, this);
    this.#handles.set(handle, served);
    const error = partition.epochRefusal(request.leaderEpoch);
    if (error !== undefined) {
      this.ended(served, error);
      return;
    }
    driver.openLog(partition).then(
      (log) => {
        if (served.state !== 'opening') return;
        served.log = log;
        driver.followed(partition, served.follow, served);
      },
      (caught: unknown) => this.ended(served, this.#typed(caught)),
    );
  }

  unfollow(handle: number): void {
    const served = this.#handles.get(handle);
    if (served !== undefined) this.#forget(served);
  }

  acknowledge({ partitions }: internal.Acknowledge): void {
    const { driver } = this.options;
    const { brokerId } = this.follower;
    for (const { handle, stableEndOffset, logStartOffset } of partitions) {
      const served = this.#handles.get(handle);
      // What was on its way when the handle ended says nothing any more.
      if (served === undefined || served.state === 'opening') continue;
      const { partition } = served;
      if (stableEndOffset > partition.logEndOffset || stableEndOffset < logStartOffset) {
        throw invalid(`an acknowledgement of ${stableEndOffset}, and the log ends at ${partition.logEndOffset}`);
      }
      driver.acknowledged(partition, brokerId, served, { logEndOffset: stableEndOffset, logStartOffset });
    }
  }

  grant({ bytes, throttledBytes }: internal.ReplicaCredit): void {
    this.#credit.grant(bytes);
    this.#throttledCredit.grant(throttledBytes);
    this.#letIn();
    this.#pump();
  }

  throttle({ handle, throttled }: internal.ThrottleFollow): void {
    const served = this.#handles.get(handle);
    if (served === undefined) return;
    served.throttled = throttled;
    this.#letIn();
    this.#pump();
  }

  /** The stream takes messages again. */
  drained(): void {
    this.#blocked = false;
    if (this.#marksDue) this.#sendMarks();
    this.#pump();
  }

  close(): void {
    this.#closed = true;
    for (const served of [...this.#handles.values()]) this.#forget(served);
    this.#ready.drain();
    this.#unsent.drain();
    this.options.throttle.forget(this);
  }

  /** The leader's throttle has room again. */
  throttleOpened(): void {
    this.#letIn();
    this.#pump();
  }

  // --- what the core says ---

  positioned(served: Served, position: FollowPosition): void {
    if (served.state !== 'opening') return;
    if (position.kind === 'restart') {
      this.#restart(served, position.offset);
      return;
    }
    this.#answer(served, position);
  }

  ended(served: Served, error: BarnabasError): void {
    if (served.state === 'ended') return;
    this.#forget(served);
    this.#send(ended(served.handle, error));
  }

  moved(served: Served): void {
    if (served.state === 'opening' || served.state === 'ended') return;
    this.#consider(served);
    this.#markLater(served);
  }

  // --- positions ---

  #followOf(request: internal.Follow): Follow {
    const { leaderEpoch, partitionEpoch, lastEpoch, logStartOffset, logEndOffset } = request;
    return { ...this.follower, leaderEpoch, partitionEpoch, lastEpoch, logStartOffset, logEndOffset };
  }

  /**
   * A log start may lie inside of a batch, since records are deleted one by one and batches are stored
   * whole. A follower that begins anew begins where that batch does, or the first batch would not fit.
   */
  #restart(served: Served, logStartOffset: number): void {
    const { log, follow } = served;
    if (log === undefined) return;
    log.read({ offset: logStartOffset, maxBytes: 1, maxOffset: log.logEndOffset, minOneBatch: true }).then(
      ({ batches: [first] }) => {
        if (served.state !== 'opening') return;
        const offset = first === undefined ? logStartOffset : Math.min(logStartOffset, baseOffsetOf(first));
        const isThere = follow.lastEpoch < 0 && follow.logEndOffset === offset;
        this.#answer(served, isThere ? { kind: 'agreed' } : { kind: 'restart', offset });
      },
      (caught: unknown) => this.ended(served, this.#typed(caught)),
    );
  }

  #answer(served: Served, position: FollowPosition): void {
    if (position.kind === 'agreed') served.state = 'waiting';
    const message = positionToProto(served.handle, position, served.mark);
    // The follower asks anew, under another handle, once it has done what this says.
    if (position.kind !== 'agreed') this.#forget(served);
    this.#send(response({ $case: 'position', position: message }));
    if (position.kind === 'agreed') this.#consider(served);
  }

  #forget(served: Served): void {
    if (served.state === 'ended') return;
    served.state = 'ended';
    this.#handles.delete(served.handle);
    this.#heldBack.delete(served);
    this.options.driver.unfollowed(served.partition, this.follower.brokerId, served);
  }

  // --- reading and sending ---

  /** Puts the handle in line if it has something to send and is not in line already. */
  #consider(served: Served): void {
    if (served.state !== 'waiting' || served.position >= served.partition.logEndOffset) return;
    served.state = 'ready';
    this.#ready.push(served);
    this.#pump();
  }

  /** Sends what was read and starts reads, as far as credit, stream and turns allow. */
  #pump(): void {
    this.#flush();
    while (!this.#blocked && !this.#closed && this.#reads + this.#unsent.length < MAX_READS) {
      const served = this.#ready.peek();
      if (served === undefined) return;
      if (served.state === 'ready' && !this.#isHeldBack(served)) {
        if (!served.throttled && !this.#credit.isOpen) return;
        this.#read(served);
      }
      this.#ready.shift();
    }
  }

  /** Takes a handle that is throttled out of the line, so that the others go on. */
  #isHeldBack(served: Served): boolean {
    const { throttle } = this.options;
    const mustWait =
      (served.throttled && !this.#throttledCredit.isOpen) ||
      !throttle.admits(served.partition, this.follower.brokerId, this);
    if (mustWait) this.#heldBack.add(served);
    return mustWait;
  }

  #letIn(): void {
    for (const served of this.#heldBack) this.#ready.push(served);
    this.#heldBack.clear();
  }

  #read(served: Served): void {
    const { log, position, partition } = served;
    if (log === undefined) return;
    const { logEndOffset: maxOffset } = partition;
    const { maxMessageBytes: maxBytes } = this.options;
    const credit = served.throttled ? this.#throttledCredit : this.#credit;
    served.state = 'reading';
    this.#reads += 1;
    credit.reserve(maxBytes);
    // A follower that has begun at a batch that reaches below the log start is sent that batch first.
    const offset = Math.max(position, log.logStartOffset);
    log.read({ offset, maxBytes, maxOffset, minOneBatch: true }).then(
      (result) => this.#hasRead(served, credit, () => this.#take(served, credit, result)),
      (caught: unknown) => this.#hasRead(served, credit, () => this.ended(served, this.#typed(caught))),
    );
  }

  #hasRead(served: Served, credit: Credit, use: () => boolean | void): void {
    this.#reads -= 1;
    if (this.#closed) return;
    const isKept = served.state === 'reading' && use() === true;
    if (!isKept) credit.release(this.options.maxMessageBytes);
    this.#pump();
  }

  /** True if it is to be sent. */
  #take(served: Served, credit: Credit, result: ReadResult): boolean {
    const [first] = result.batches;
    if (first === undefined) {
      // What there was to read has gone with the start of the log: what moves it says more.
      served.state = 'waiting';
      return false;
    }
    if (baseOffsetOf(first) !== served.position) {
      // Retention was quicker than the follower.
      this.ended(served, refusals.replicaNotReady(served.partition, 'its log begins elsewhere now'));
      return false;
    }
    let bytes = 0;
    for (const batch of result.batches) bytes += batch.length;
    this.#unsent.push({ served, credit, result, bytes });
    return true;
  }

  #flush(): void {
    for (let next = this.#unsent.peek(); next !== undefined; next = this.#unsent.peek()) {
      if (next.served.state === 'reading') {
        if (this.#blocked) return;
        this.#deliver(next);
      }
      next.credit.release(this.options.maxMessageBytes);
      this.#unsent.shift();
    }
  }

  #deliver({ served, credit, result, bytes }: Unsent): void {
    credit.spend(bytes);
    const { metrics, throttle } = this.options;
    throttle.sent(served.partition, this.follower.brokerId, bytes);
    metrics.replicatedOut(bytes);
    served.position = result.nextOffset;
    served.state = 'waiting';
    served.isMarked = false;
    const { handle } = served;
    const batches = joined(result.batches);
    this.#send(response({ $case: 'batches', batches: { handle, batches, mark: markToProto(0, served.mark) } }));
    // To the end of the line: the others first.
    if (served.position < served.partition.logEndOffset) {
      served.state = 'ready';
      this.#ready.push(served);
    }
  }

  // --- marks ---

  /** What moves in one turn of the event loop goes out in one message. */
  #markLater(served: Served): void {
    if (served.isMarked) return;
    served.isMarked = true;
    this.#marked.push(served);
    if (this.#marksDue) return;
    this.#marksDue = true;
    void Promise.resolve().then(() => this.#sendMarks());
  }

  #sendMarks(): void {
    if (this.#closed || this.#blocked) return;
    this.#marksDue = false;
    const partitions: internal.LeaderMark[] = [];
    for (const served of this.#marked.splice(0)) {
      // Batches have carried it meanwhile, or will.
      if (!served.isMarked || served.state === 'ended') continue;
      served.isMarked = false;
      partitions.push(markToProto(served.handle, served.mark));
    }
    if (partitions.length > 0) this.#send(response({ $case: 'marks', marks: { partitions } }));
  }

  #send(message: internal.LeaderPart): void {
    if (this.#closed) return;
    if (!this.send(message)) this.#blocked = true;
  }

  #typed(caught: unknown): BarnabasError {
    if (caught instanceof InvariantError) this.options.onFault(caught);
    return toBarnabasError(caught);
  }
}

function joined(batches: readonly Buffer[]): Buffer {
  const [only] = batches;
  return batches.length === 1 && only !== undefined ? only : Buffer.concat(batches);
}

function invalid(what: string): BarnabasError {
  return new BarnabasError('INVALID_REQUEST', `a replication stream is not to be used like this: ${what}`);
}
