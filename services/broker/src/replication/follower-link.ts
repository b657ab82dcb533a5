/**
 * What a broker says to one leader broker, and hears from it, of all partitions that it follows there:
 * questions, acknowledgements, and credit for what is sent. Its stream is leader-connection.ts.
 *
 * Decides nothing about replicas: what a leader says goes to the driver.
 *
 * Invariants:
 *   of one partition only the latest question is open; what comes for an earlier one is dropped
 *   of what is asked on a stream that ends the driver hears that it is unlinked
 * Protocol: docs/protocols/replication.md, section 3.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import type { LeaderMark } from '../core/index.js';
import type { ReplicaDriver, ReplicaPartition } from '../runtime/replica-driver.js';
import type { Question } from '../runtime/replication-port.js';
import { LeaderConnection } from './leader-connection.js';
import type { ConnectionUser, LeaderConnectionOptions } from './leader-connection.js';
import { positionFromProto, request } from './messages.js';
import type { ThrottledCredit } from './throttled-credit.js';

/** What links share. */
export interface FollowerLinkOptions extends LeaderConnectionOptions {
  readonly driver: ReplicaDriver;
  /** replica.fetch.response.max.bytes. */
  readonly windowBytes: number;
  /** Whether a partition is to use the throttled credit now. */
  readonly isThrottled: (partition: ReplicaPartition) => boolean;
  readonly newThrottledCredit: (grant: (bytes: number) => void) => ThrottledCredit;
}

/** Room is granted again in parts of the window, not for each batch. */
const GRANT_PARTS = 8;

/** A partition that has asked on this stream. */
interface Asked {
  readonly partition: ReplicaPartition;
  throttled: boolean;
}

export class FollowerLink implements ConnectionUser {
  readonly #connection: LeaderConnection;
  readonly #partitions = new Set<ReplicaPartition>();
  readonly #asked = new Map<number, Asked>();
  readonly #handles = new Map<ReplicaPartition, number>();
  /** To be acknowledged with the next message. */
  readonly #unacknowledged = new Map<number, ReplicaPartition>();
  readonly #throttled: ThrottledCredit;
  #released = 0;
  #flushDue = false;

  constructor(
    leaderId: number,
    private readonly options: FollowerLinkOptions,
    nextSession: () => number,
  ) {
    this.#connection = new LeaderConnection(leaderId, options, this, nextSession);
    this.#throttled = options.newThrottledCredit((throttledBytes) => this.#grant(0, throttledBytes));
  }

  get partitions(): number {
    return this.#partitions.size;
  }

  /** The partition wants to ask as soon as it may. */
  attach(partition: ReplicaPartition): void {
    this.#partitions.add(partition);
    if (this.#connection.isReady) this.options.driver.linked(partition);
    else this.#connection.open();
  }

  detach(partition: ReplicaPartition): void {
    this.#partitions.delete(partition);
    this.#unfollow(partition);
    if (this.#partitions.size === 0) this.#connection.close();
  }

  ask(partition: ReplicaPartition, handle: number, question: Question): void {
    const { driver, isThrottled } = this.options;
    if (!this.#connection.isReady) {
      driver.unlinked(partition, handle);
      return;
    }
    const throttled = isThrottled(partition);
    this.#unfollow(partition);
    this.#asked.set(handle, { partition, throttled });
    this.#handles.set(partition, handle);
    this.#throttled.concerns(this.#throttledHandles());
    const { topicId, partition: number } = partition;
    const follow = { handle, topicId, partition: number, throttled, ...question };
    this.#connection.write(request({ $case: 'follow', follow }));
  }

  /** The message says how far the partition is when it leaves, for all that happens in this turn of the event loop. */
  acknowledge(partition: ReplicaPartition, handle: number): void {
    if (!this.#asked.has(handle)) return;
    this.#unacknowledged.set(handle, partition);
    this.#flushSoon();
  }

  /** ISR or rules have changed: what was throttled may not be any more. */
  reconsiderThrottles(): void {
    for (const [handle, asked] of this.#asked) {
      const throttled = this.options.isThrottled(asked.partition);
      if (throttled === asked.throttled) continue;
      asked.throttled = throttled;
      this.#connection.write(request({ $case: 'throttle', throttle: { handle, throttled } }));
    }
    this.#throttled.concerns(this.#throttledHandles());
  }

  /** This broker has registered again. */
  registeredAs(brokerEpoch: number): void {
    this.#connection.registeredAs(brokerEpoch);
  }

  stop(): void {
    this.#connection.stop();
  }

  // --- what the connection says ---

  onReady(): void {
    const { driver, windowBytes } = this.options;
    this.#released = 0;
    this.#grant(windowBytes, 0);
    this.#throttled.begin();
    for (const partition of [...this.#partitions]) driver.linked(partition);
  }

  onDrain(): void {
    this.#flush();
  }

  onOver(): void {
    this.#unacknowledged.clear();
    this.#throttled.end();
    const asked = [...this.#asked];
    this.#asked.clear();
    this.#handles.clear();
    for (const [handle, { partition }] of asked) this.options.driver.unlinked(partition, handle);
  }

  onMessage({ part }: internal.LeaderPart): void {
    const { driver } = this.options;
    switch (part?.$case) {
      case 'position': {
        const { handle, mark } = part.position;
        const asked = this.#asked.get(handle);
        if (asked === undefined) return;
        const position = positionFromProto(part.position);
        driver.positioned(asked.partition, handle, position, markOf(mark));
        return;
      }
      case 'batches':
        return this.#batches(part.batches);
      case 'marks':
        for (const mark of part.marks.partitions) {
          const asked = this.#asked.get(mark.handle);
          if (asked !== undefined) driver.marked(asked.partition, mark.handle, mark);
        }
        return;
      case 'ended': {
        const { handle } = part.ended;
        const asked = this.#forget(handle);
        if (asked !== undefined) driver.followEnded(asked.partition, handle);
        return;
      }
      default:
        throw new BarnabasError('INVALID_REQUEST', 'a leader has said nothing that this version knows');
    }
  }

  #batches({ handle, batches, mark }: internal.ReplicatedBatches): void {
    const asked = this.#asked.get(handle);
    const bytes = batches.length;
    const throttled = asked?.throttled === true;
    const { session } = this.#connection;
    const release = (): void => {
      if (this.#connection.session === session) this.#release(bytes, throttled);
    };
    if (asked === undefined) release();
    else this.options.driver.batches(asked.partition, handle, { bytes: batches, taken: false, release }, markOf(mark));
  }

  // --- credit and acknowledgements ---

  #release(bytes: number, throttled: boolean): void {
    if (throttled) {
      this.#throttled.released(bytes);
      return;
    }
    this.#released += bytes;
    if (this.#released * GRANT_PARTS >= this.options.windowBytes) {
      const granted = this.#released;
      this.#released = 0;
      this.#grant(granted, 0);
    }
  }

  #grant(bytes: number, throttledBytes: number): void {
    if (!this.#connection.isReady) return;
    this.#connection.write(request({ $case: 'credit', credit: { bytes, throttledBytes } }));
  }

  #throttledHandles(): number {
    let count = 0;
    for (const { throttled } of this.#asked.values()) if (throttled) count += 1;
    return count;
  }

  #unfollow(partition: ReplicaPartition): void {
    const handle = this.#handles.get(partition);
    if (handle === undefined) return;
    this.#forget(handle);
    this.#connection.write(request({ $case: 'unfollow', unfollow: { handle } }));
  }

  #forget(handle: number): Asked | undefined {
    const asked = this.#asked.get(handle);
    if (asked === undefined) return undefined;
    this.#asked.delete(handle);
    this.#handles.delete(asked.partition);
    this.#unacknowledged.delete(handle);
    return asked;
  }

  #flushSoon(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    void Promise.resolve().then(() => {
      this.#flushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#connection.isFull || this.#unacknowledged.size === 0 || !this.#connection.isReady) return;
    const partitions: internal.Acknowledgement[] = [];
    for (const [handle, { stableEndOffset, logStartOffset }] of this.#unacknowledged) {
      partitions.push({ handle, stableEndOffset, logStartOffset });
    }
    this.#unacknowledged.clear();
    this.#connection.write(request({ $case: 'acknowledge', acknowledge: { partitions } }));
  }
}

function markOf(mark: internal.LeaderMark | undefined): LeaderMark {
  if (mark === undefined) throw new BarnabasError('INVALID_REQUEST', 'a leader has left out how far it is');
  return mark;
}
