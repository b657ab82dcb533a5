/**
 * Bounds the bytes that were taken from clients and are not written yet, over the gateway and for each
 * produce stream. A stream beyond its share, and every stream once the gateway is beyond its own, is
 * not read from until half of the limit is free again; a unary call, which cannot be paused, is refused.
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

/** Where the bytes of a request are accounted for. */
export interface Share {
  take(bytes: number): void;
  give(bytes: number): void;
}

export class ByteBudget implements Share {
  #used = 0;
  #isFull = false;
  readonly #streams = new Set<StreamShare>();
  /** Requests under way: one may weigh nothing. */
  #taken = 0;
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

  /** Calls back once when nothing is under way, at once if that is so now. Returns what ends that. */
  whenEmpty(callback: () => void): () => void {
    if (this.#taken === 0) callback();
    else this.#onEmpty = callback;
    return () => {
      this.#onEmpty = undefined;
    };
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
    if (this.#taken === 0) this.#onEmpty?.();
    if (!this.#isFull || this.#used > this.limitBytes / 2) return;
    this.#isFull = false;
    for (const stream of this.#streams) stream.update();
  }

  /** For a call that cannot wait: THROTTLING_QUOTA_EXCEEDED when there is no room. */
  admit(): void {
    if (!this.#isFull) return;
    throw new BarnabasError(
      'THROTTLING_QUOTA_EXCEEDED',
      'too many bytes wait to be written (queued.max.request.bytes): wait and retry, or produce over ProduceStream',
    );
  }

  stream(stream: Pausable): StreamShare {
    const share = new StreamShare(this, stream, this.streamLimitBytes, () => this.#streams.delete(share));
    this.#streams.add(share);
    share.update();
    return share;
  }
}

export class StreamShare implements Share {
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

  /** The stream is gone; what it has taken is still given back when it is written. */
  close(): void {
    this.onClose();
  }
}
