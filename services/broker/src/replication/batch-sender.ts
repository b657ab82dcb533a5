/**
 * Reads batches for one follower and sends them: whose turn it is, and how much may be sent.
 *
 * Invariants:
 *   S1  batches of a handle go out in order, each once, each beginning where the last ended; nothing
 *       follows its `ended`
 *   S2  batches go out only while the credit that they use is above 0, which one message may overdraw
 *   S3  at most MAX_READS messages are read ahead of a follower that does not read or grants no credit
 * Fairness: handles that have something to send take turns, one message each.
 * Protocol: docs/protocols/replication.md, section 3; of throttles, section 10.
 */
import type { ReadResult } from '@barnabas/log';
import { Fifo } from '../core/fifo.js';
import { refusals } from '../core/index.js';
import type { BrokerMetrics } from '../runtime/metrics.js';
import { baseOffsetOf } from './batch-offsets.js';
import { markToProto, response } from './messages.js';
import type { Outlet } from './outlet.js';
import type { Served } from './served.js';
import type { LeaderThrottle, Throttled } from './throttle.js';

/**
 * Reads on their way for one stream: enough to keep a disk busy while messages go out, and to put the
 * batches of many partitions into one message. Large ones are bounded by the credit that a read reserves.
 */
const MAX_READS = 32;

export interface BatchSenderOptions {
  readonly metrics: BrokerMetrics;
  readonly throttle: LeaderThrottle;
  /** replica.fetch.max.bytes. */
  readonly maxMessageBytes: number;
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

export class BatchSender implements Throttled {
  readonly #ready = new Fifo<Served>();
  /** Read, and waiting for credit or for the stream. */
  readonly #unsent = new Fifo<Unsent>();
  /** Out of the line until the leader's throttle, or the throttled credit, lets them in again. */
  readonly #heldBack = new Set<Served>();
  readonly #credit = new Credit();
  readonly #throttledCredit = new Credit();
  #reads = 0;

  constructor(
    private readonly options: BatchSenderOptions,
    private readonly followerId: number,
    private readonly outlet: Outlet,
  ) {}

  /** Puts the handle in line if it has something to send and is not in line already. */
  consider(served: Served): void {
    if (served.state !== 'waiting' || served.position >= served.partition.logEndOffset) return;
    served.state = 'ready';
    this.#ready.push(served);
    this.#pump();
  }

  grant(bytes: number, throttledBytes: number): void {
    this.#credit.grant(bytes);
    this.#throttledCredit.grant(throttledBytes);
    this.#letIn();
  }

  throttle(served: Served, throttled: boolean): void {
    served.throttled = throttled;
    this.#letIn();
  }

  /** The leader's throttle has room again. */
  throttleOpened(): void {
    this.#letIn();
  }

  /** The stream takes messages again. */
  drained(): void {
    this.#pump();
  }

  /** The handle has ended: what was read of it is dropped. */
  forget(served: Served): void {
    this.#heldBack.delete(served);
  }

  /** All handles have ended. */
  close(): void {
    this.#ready.drain();
    this.#unsent.drain();
    this.options.throttle.forget(this);
  }

  /** Sends what was read and starts reads, as far as credit, stream and turns allow. */
  #pump(): void {
    this.#flush();
    while (!this.outlet.isBlocked && this.#reads + this.#unsent.length < MAX_READS) {
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
      (served.throttled && !this.#throttledCredit.isOpen) || !throttle.admits(served.partition, this.followerId, this);
    if (mustWait) this.#heldBack.add(served);
    return mustWait;
  }

  #letIn(): void {
    for (const served of this.#heldBack) this.#ready.push(served);
    this.#heldBack.clear();
    this.#pump();
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
      (caught: unknown) => this.#hasRead(served, credit, () => served.failed(caught)),
    );
  }

  #hasRead(served: Served, credit: Credit, use: () => boolean | void): void {
    this.#reads -= 1;
    if (this.outlet.isClosed) return;
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
      served.ended(refusals.replicaNotReady(served.partition, 'its log begins elsewhere now'));
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
        if (this.outlet.isBlocked) return;
        this.#deliver(next);
      }
      next.credit.release(this.options.maxMessageBytes);
      this.#unsent.shift();
    }
  }

  #deliver({ served, credit, result, bytes }: Unsent): void {
    credit.spend(bytes);
    const { metrics, throttle } = this.options;
    throttle.sent(served.partition, this.followerId, bytes);
    metrics.replicatedOut(bytes);
    served.position = result.nextOffset;
    served.state = 'waiting';
    served.isMarked = false;
    const { handle } = served;
    const batches = joined(result.batches);
    this.outlet.send(response({ $case: 'batches', batches: { handle, batches, mark: markToProto(0, served.mark) } }));
    // To the end of the line: the others first.
    if (served.position < served.partition.logEndOffset) {
      served.state = 'ready';
      this.#ready.push(served);
    }
  }
}

function joined(batches: readonly Buffer[]): Buffer {
  const [only] = batches;
  return batches.length === 1 && only !== undefined ? only : Buffer.concat(batches);
}
