/**
 * Bounds the bytes of produce requests that wait for the disk, over the broker and for each stream.
 * A stream beyond its share, and every stream once the broker is beyond its own, is not read from
 * until half of the limit has been written: memory stays bounded and slow disks slow producers down.
 *
 * A unary call cannot be paused: it waits in line instead, and is refused once as much again waits
 * in that line.
 *
 * Invariants:
 *   B1  used is the sum of what was taken and not yet returned
 *   B2  a paused stream is resumed once both shares allow it
 */
import { assert } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';

/** What can be told to stop and go on. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

interface InLine {
  readonly bytes: number;
  readonly enter: () => void;
}

export class DiskBudget {
  #used = 0;
  /** The broker as a whole is beyond its share. */
  #full = false;
  readonly #streams = new Set<StreamBudget>();
  readonly #line: InLine[] = [];
  #lineBytes = 0;

  constructor(
    private readonly limitBytes: number,
    private readonly streamLimitBytes: number,
  ) {}

  get usedBytes(): number {
    return this.#used;
  }

  get isFull(): boolean {
    return this.#full;
  }

  take(bytes: number): void {
    this.#used += bytes;
    if (this.#full || this.#used <= this.limitBytes) return;
    this.#full = true;
    for (const stream of this.#streams) stream.update();
  }

  give(bytes: number): void {
    this.#used -= bytes;
    assert(this.#used >= 0, 'B1: no more is returned than was taken', { used: this.#used });
    if (this.#full && this.#used <= this.limitBytes / 2) {
      this.#full = false;
      for (const stream of this.#streams) stream.update();
    }
    if (!this.#full && this.#line.length > 0) this.#admitWaiting();
  }

  /** Undefined if a call may go on at once, else a promise for when it may. Throws THROTTLING_QUOTA_EXCEEDED. */
  admit(bytes: number): Promise<void> | undefined {
    if (!this.#full && this.#line.length === 0) return undefined;
    if (this.#lineBytes + bytes > this.limitBytes) {
      throw new BarnabasError(
        'THROTTLING_QUOTA_EXCEEDED',
        'too many bytes wait for the disk (queued.max.request.bytes): wait and retry, or produce over ProduceStream',
      );
    }
    this.#lineBytes += bytes;
    return new Promise((enter) => this.#line.push({ bytes, enter }));
  }

  /** The share of one stream. */
  stream(stream: Pausable): StreamBudget {
    const share = new StreamBudget(this, stream, this.streamLimitBytes, () => this.#streams.delete(share));
    this.#streams.add(share);
    share.update();
    return share;
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
}

export class StreamBudget {
  #used = 0;
  #full = false;
  #paused = false;

  constructor(
    private readonly broker: DiskBudget,
    private readonly stream: Pausable,
    private readonly limitBytes: number,
    private readonly onClose: () => void,
  ) {}

  take(bytes: number): void {
    this.#used += bytes;
    if (this.#used > this.limitBytes) this.#full = true;
    this.broker.take(bytes);
    this.update();
  }

  give(bytes: number): void {
    this.#used -= bytes;
    if (this.#used <= this.limitBytes / 2) this.#full = false;
    this.broker.give(bytes);
    this.update();
  }

  /** Pauses or resumes the stream as both shares say. */
  update(): void {
    const paused = this.#full || this.broker.isFull;
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.stream.pause();
    else this.stream.resume();
  }

  /** The stream is gone; what it has taken is still returned when it is written. */
  close(): void {
    this.onClose();
  }
}
