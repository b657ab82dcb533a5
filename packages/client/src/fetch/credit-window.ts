/**
 * Divides one window of bytes among the streams of a fetch session. Credit once granted cannot be
 * taken back, so none is given a stream beyond its share.
 *
 * Invariants:
 *   C1  credit granted and unused, and bytes received and not released, are together never above the
 *       window by more than one message a stream
 *   C2  a stream of whose bytes none are waiting to be released always has credit: an idle stream
 *       that holds much of the window starves no other
 */

/** A stream as the window sees it. */
export interface CreditedStream {
  /** Granted and unused; below 0 after an overdraft. */
  readonly outstanding: number;
  grant(bytes: number): void;
}

/** More than this on its way to one client makes nothing faster. */
const MAX_SHARE_BYTES = 8 * 1024 * 1024;

export class CreditWindow<S extends CreditedStream> {
  readonly #windowBytes: number;
  /** Bytes received and not released, by stream; also of streams that are gone. */
  readonly #unreleased = new Map<S, number>();
  readonly #streams = new Set<S>();
  #totalUnreleased = 0;

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
  }

  /** Bytes received and not released. */
  get unreleased(): number {
    return this.#totalUnreleased;
  }

  add(stream: S): void {
    this.#streams.add(stream);
    this.#unreleased.set(stream, 0);
    this.distribute();
  }

  remove(stream: S): void {
    this.#streams.delete(stream);
    if (this.#unreleased.get(stream) === 0) this.#unreleased.delete(stream);
    this.distribute();
  }

  /** Bytes have come that somebody will release. */
  received(stream: S, bytes: number): void {
    this.#count(stream, bytes);
  }

  release(stream: S, bytes: number): void {
    this.#count(stream, -bytes);
    if (!this.#streams.has(stream) && this.#unreleased.get(stream) === 0) this.#unreleased.delete(stream);
    this.distribute();
  }

  /** Grants what there is to grant; those with least credit first. */
  distribute(): void {
    if (this.#streams.size === 0) return;
    const share = Math.max(1, Math.min(MAX_SHARE_BYTES, Math.floor(this.#windowBytes / this.#streams.size)));
    let free = this.#windowBytes - this.#totalUnreleased;
    for (const { outstanding } of this.#streams) free -= Math.max(0, outstanding);
    const hungry = [...this.#streams].filter(({ outstanding }) => outstanding <= share / 2);
    hungry.sort((left, right) => left.outstanding - right.outstanding);
    for (const stream of hungry) {
      const before = Math.max(0, stream.outstanding);
      this.#topUp(stream, share, free);
      free -= Math.max(0, stream.outstanding) - before;
    }
  }

  #topUp(stream: S, share: number, free: number): void {
    const { outstanding } = stream;
    // An overdraft is made good beside the share: its bytes are counted where they are now, as unreleased.
    const target = Math.min(share, Math.max(0, outstanding) + free);
    const isStarving = outstanding <= 0 && this.#unreleased.get(stream) === 0;
    const goal = isStarving ? Math.max(1, target) : target;
    if (goal > outstanding && goal > 0) stream.grant(goal - outstanding);
  }

  #count(stream: S, bytes: number): void {
    this.#unreleased.set(stream, (this.#unreleased.get(stream) ?? 0) + bytes);
    this.#totalUnreleased += bytes;
  }
}
