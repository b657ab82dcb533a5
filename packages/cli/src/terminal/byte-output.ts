/**
 * Standard output for many small pieces: gathers them into large chunks, and tells the writer when
 * to wait. A reader that went away (`| head`) is not an error: writing then does nothing, and
 * `closed` tells the command that nobody is listening any more.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { ByteSink } from '../text/record-format.js';

const CHUNK_BYTES = 64 * 1024;

export class ByteOutput implements ByteSink {
  readonly #stream: Writable;
  readonly #closed = new AbortController();
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #used = 0;
  /** What lies before it in the chunk belongs to the stream. */
  #handedOver = 0;
  #failure: Error | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') this.#failure = error;
      this.#closed.abort();
    });
    stream.on('close', () => this.#closed.abort());
  }

  /** Aborted once nobody reads any more. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  bytes(value: Uint8Array): void {
    if (value.length >= CHUNK_BYTES) {
      this.push();
      // A copy, since the stream keeps what it is given and the value may be a view of a batch.
      this.#write(Buffer.from(value));
      return;
    }
    if (value.length > CHUNK_BYTES - this.#used) this.#renewChunk();
    this.#chunk.set(value, this.#used);
    this.#used += value.length;
  }

  text(value: string): void {
    // UTF-8 takes at most three bytes for a UTF-16 unit.
    if (value.length * 3 <= CHUNK_BYTES - this.#used) this.#used += this.#chunk.write(value, this.#used);
    else this.bytes(Buffer.from(value));
  }

  line(value: string): void {
    this.text(`${value}\n`);
  }

  json(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** The stream has as much as it wants: await drained() before writing on. */
  get full(): boolean {
    return this.#stream.writableNeedDrain && !this.#closed.signal.aborted;
  }

  /** Resolves when the stream takes more, or is closed. Throws if the disk behind it failed. */
  async drained(): Promise<void> {
    if (this.full) {
      await once(this.#stream, 'drain', { signal: this.#closed.signal }).catch(() => undefined);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Hands over what was gathered, without waiting. */
  push(): void {
    if (this.#used === this.#handedOver) return;
    this.#write(this.#chunk.subarray(this.#handedOver, this.#used));
    this.#handedOver = this.#used;
  }

  /** Hands over everything gathered and waits until the stream has it. */
  async flush(): Promise<void> {
    this.push();
    if (this.#closed.signal.aborted) {
      if (this.#failure !== undefined) throw this.#failure;
      return;
    }
    // The callback of an empty write comes after those of all writes before it, also when they failed.
    await new Promise<void>((resolve) => this.#stream.write('', () => resolve()));
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** The stream may still hold the old chunk, so it is never written to again. */
  #renewChunk(): void {
    this.push();
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#used = 0;
    this.#handedOver = 0;
  }

  #write(chunk: Buffer): void {
    if (!this.#closed.signal.aborted) this.#stream.write(chunk);
  }
}
