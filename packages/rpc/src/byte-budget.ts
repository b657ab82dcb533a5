/**
 * Bounds the bytes of requests that a role has taken in and is not done with, over the role and for
 * each stream. A stream beyond its share, and every stream once the role is beyond its own, is not
 * read from until half of the limit is free again: memory stays bounded, and what is slow behind the
 * role slows down those who send.
 *
 * A unary call cannot be paused. It waits in line (`admit`), and is refused once as much again waits
 * in that line; or it is refused at once (`admitNow`).
 *
 * Invariants:
 *   B1  used is the sum of what was taken and not yet given back
 *   B2  a paused stream is resumed once both shares allow it
 */
import { assert } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';

/** What can be told to stop and go on. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/** Where the bytes of a request are accounted for. Each `take` has its `give` of as many bytes. */
export interface ByteAccount {
  take(bytes: number): void;
  give(bytes: number): void;
}

interface InLine {
  readonly bytes: number;
  readonly enter: () => void;
}

export class ByteBudget implements ByteAccount {
  #used = 0;
  /** Takes without their give: a request may weigh nothing. */
  #taken = 0;
  /** The role as a whole is beyond its share. */
  #isFull = false;
  readonly #streams = new Set<StreamShare>();
  readonly #line: InLine[] = [];
  #lineBytes = 0;
  #onEmpty: (() => void) | undefined;

  constructor(
    private readonly limitBytes: number,
    private readonly streamLimitBytes: number,
  ) {}

  get usedBytes(): number {
    return this.#used;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  take(bytes: number): void {
    this.#taken += 1;
    this.#used += bytes;
    if (this.#isFull || this.#used <= this.limitBytes) return;
    this.#isFull = true;
    for (const stream of this.#streams) stream.update();
  }

  give(bytes: number): void {
    this.#taken -= 1;
    this.#used -= bytes;
    assert(this.#used >= 0 && this.#taken >= 0, 'B1: no more is given back than was taken', { used: this.#used });
    if (this.#taken === 0) this.#becomeEmpty();
    if (this.#isFull && this.#used <= this.limitBytes / 2) {
      this.#isFull = false;
      for (const stream of this.#streams) stream.update();
    }
    if (!this.#isFull && this.#line.length > 0) this.#admitWaiting();
  }

  /**
   * Calls back once when all that was taken is given back, at once if that is so now; who waits in line
   * has taken nothing. One callback at a time. Returns what ends that.
   */
  whenEmpty(callback: () => void): () => void {
    this.#onEmpty = callback;
    if (this.#taken === 0) this.#becomeEmpty();
    return () => {
      this.#onEmpty = undefined;
    };
  }

  /** Undefined if a call may go on at once, else a promise for when it may. Throws THROTTLING_QUOTA_EXCEEDED. */
  admit(bytes: number): Promise<void> | undefined {
    if (this.#hasRoom()) return undefined;
    if (this.#lineBytes + bytes > this.limitBytes) throw throttled();
    this.#lineBytes += bytes;
    return new Promise((enter) => this.#line.push({ bytes, enter }));
  }

  /** For a call that is not to wait: THROTTLING_QUOTA_EXCEEDED unless it may go on at once. */
  admitNow(): void {
    if (!this.#hasRoom()) throw throttled();
  }

  /** The share of one stream. */
  stream(stream: Pausable): StreamShare {
    const share = new StreamShare(this, stream, this.streamLimitBytes, () => this.#streams.delete(share));
    this.#streams.add(share);
    share.update();
    return share;
  }

  /** Nobody passes those who are in line. */
  #hasRoom(): boolean {
    return !this.#isFull && this.#line.length === 0;
  }

  /** Only what the budget has room for, or the next fullness would come as one blow. */
  #admitWaiting(): void {
    let room = this.limitBytes - this.#used;
    for (let next = this.#line[0]; next !== undefined && room > 0; next = this.#line[0]) {
      this.#line.shift();
      this.#lineBytes -= next.bytes;
      room -= next.bytes;
      next.enter();
    }
  }

  #becomeEmpty(): void {
    const onEmpty = this.#onEmpty;
    this.#onEmpty = undefined;
    onEmpty?.();
  }
}

export class StreamShare implements ByteAccount {
  #used = 0;
  #isFull = false;
  #isPaused = false;

  constructor(
    private readonly budget: ByteBudget,
    private readonly stream: Pausable,
    private readonly limitBytes: number,
    private readonly onClose: () => void,
  ) {}

  take(bytes: number): void {
    this.#used += bytes;
    if (this.#used > this.limitBytes) this.#isFull = true;
    this.budget.take(bytes);
    this.update();
  }

  give(bytes: number): void {
    this.#used -= bytes;
    if (this.#used <= this.limitBytes / 2) this.#isFull = false;
    this.budget.give(bytes);
    this.update();
  }

  /** Pauses or resumes the stream as both shares say. */
  update(): void {
    const isPaused = this.#isFull || this.budget.isFull;
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.stream.pause();
    else this.stream.resume();
  }

  /** The stream is gone; what it has taken is still given back when it is done. */
  close(): void {
    this.onClose();
  }
}

function throttled(): BarnabasError {
  return new BarnabasError(
    'THROTTLING_QUOTA_EXCEEDED',
    'too many bytes wait to be written (queued.max.request.bytes): wait and retry, or produce over ProduceStream',
  );
}
