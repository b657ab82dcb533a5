/**
 * Buffers of batch.size that go from one batch to the next. A batch costs no allocation then, and the
 * garbage collector is not called for memory that it does not manage (Kafka's BufferPool).
 *
 * Invariant: a buffer is given back only when nobody can look at it any more. Its batch was sent once
 * and acknowledged: the leader has copied it. One that was sent twice may still be on its way.
 */
export class BufferPool {
  readonly #free: Buffer[] = [];

  constructor(
    readonly bufferBytes: number,
    private readonly maxFree: number,
  ) {}

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.bufferBytes);
  }

  give(buffer: Buffer): void {
    if (this.#free.length < this.maxFree) this.#free.push(buffer);
  }
}
