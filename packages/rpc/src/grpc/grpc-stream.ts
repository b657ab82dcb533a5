/**
 * What both ends of a stream over grpc-js share: bytes counted until the operating system has them,
 * and reading that really stops when paused.
 *
 * Invariants:
 *   G1  bufferedBytes is the sum of the messages whose write has not been called back; a client's
 *       channel holds up to 1 MiB more for each stream (channel.ts)
 *   G2  more than `maxBufferedBytes` never wait, but for one single message
 *   G3  while paused at most one more message is taken from the transport
 *   G4  messages are delivered for some milliseconds of a turn of the event loop, then the next stream's
 *       turn comes, and what was written leaves the process (turn.ts)
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { Duplex, Readable, Writable } from 'node:stream';
import { readsTooSlowly } from '../call-errors.js';
import type { Limits } from '../limits.js';
import { StreamEnd } from '../stream-end.js';
import type { Classify } from '../stream-end.js';
import { turn } from './turn.js';

/** The streams of grpc-js as Node sees them; a server stream's client end cannot write, its server end not read. */
export interface GrpcStreamParts {
  readonly readable: Readable | Duplex | undefined;
  readonly writable: Writable | Duplex | undefined;
  encode(message: unknown): Buffer;
  decode(bytes: Buffer): unknown;
}

export abstract class GrpcStream extends StreamEnd<unknown, unknown> {
  #buffered = 0;
  /** `write` has returned false and `onDrain` is owed. */
  #refused = false;
  #ended = false;
  #paused = false;
  /** Until the next turn. */
  #yielding = false;
  #readWhenResumed: (() => void) | undefined;

  protected constructor(
    private readonly parts: GrpcStreamParts,
    private readonly limits: Limits,
    classify: Classify,
  ) {
    super(classify);
    if (parts.readable !== undefined) this.#readOnlyWhenWanted(parts.readable);
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  /** Sends the status, or half-closes; whatever was written goes first. */
  protected abstract sendEnd(error: BarnabasError | undefined): void;
  /** Gives the stream up because its peer does not read. `finish` follows. */
  protected abstract abandon(error: BarnabasError): void;

  protected begin(): void {
    const { readable } = this.parts;
    if (readable === undefined) return;
    readable.on('data', (bytes: Buffer) => this.#onData(bytes));
    readable.on('end', () => this.onReadEnd());
    if (this.#paused) readable.pause();
  }

  protected onReadEnd(): void {
    this.receiveEnd();
  }

  write(message: unknown): boolean {
    const { writable } = this.parts;
    if (writable === undefined || this.over || this.muted || this.#ended) return true;
    let bytes: Buffer;
    try {
      bytes = this.parts.encode(message);
    } catch (error) {
      this.breakOff(this.classify(error));
      return true;
    }
    const size = bytes.byteLength;
    this.#buffered += size;
    writable.write(bytes, () => this.#written(size));
    if (this.#buffered > this.limits.maxBufferedBytes && this.#buffered > size) {
      this.abandon(readsTooSlowly(this.#buffered, this.limits.maxBufferedBytes));
      return true;
    }
    this.#refused ||= this.#buffered >= this.limits.writeHighWaterBytes;
    return !this.#refused;
  }

  end(error?: BarnabasError): void {
    if (this.over || this.#ended) return;
    this.#ended = true;
    this.sendEnd(error);
  }

  pause(): void {
    this.#paused = true;
    if (this.handled) this.parts.readable?.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.handled && !this.#yielding) this.#flow();
  }

  #flow(): void {
    this.parts.readable?.resume();
    const read = this.#readWhenResumed;
    this.#readWhenResumed = undefined;
    read?.();
  }

  #onData(bytes: Buffer): void {
    if (this.over) return;
    let message: unknown;
    try {
      message = this.parts.decode(bytes);
    } catch (error) {
      this.breakOff(this.classify(error));
      return;
    }
    this.receive(message);
    if (turn.isOver) this.#yield();
  }

  #yield(): void {
    if (this.#yielding || this.over) return;
    this.#yielding = true;
    this.parts.readable?.pause();
    setImmediate(() => {
      this.#yielding = false;
      if (!this.#paused) this.#flow();
    });
  }

  #written(size: number): void {
    this.#buffered -= size;
    if (!this.#refused || this.#buffered > this.limits.writeHighWaterBytes / 2) return;
    this.#refused = false;
    this.receiveDrain();
  }

  /**
   * Node would read 16 messages ahead of a paused reader, whatever their size. The first read must
   * pass all the same: until then grpc-js's client takes in and keeps whatever comes, without bound.
   */
  #readOnlyWhenWanted(readable: Readable | Duplex): void {
    const read = readable._read.bind(readable);
    let first = true;
    readable._read = (size) => {
      if ((this.#paused || this.#yielding) && !first) this.#readWhenResumed = () => read(size);
      else read(size);
      first = false;
    };
  }
}
