/**
 * What every end of every stream has in common, whatever the transport: the listener is told things
 * in a legal order, and an exception from it ends the stream instead of the process.
 *
 * Invariants:
 *   S1  `onClose` comes exactly once, after `handle` has returned, and nothing comes after it
 *   S2  after a server's `end` and after a `cancel` of its own an end hears nothing but `onClose`
 *   S3  an exception thrown by a listener breaks the stream off and is classified once
 */
import { assert } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import type { MessageStream, StreamListener } from './types.js';

/** Names an exception, and reports it if it is a fault or has no name. */
export type Classify = (error: unknown) => BarnabasError;

export abstract class StreamEnd<In, Out> implements MessageStream<In, Out> {
  #listener: StreamListener<In> | undefined;
  #over = false;
  /** Only `onClose` is still to come. */
  #muted = false;
  /** Set when the stream ended before anybody listened. */
  #unheard: { readonly error: BarnabasError | undefined } | undefined;

  protected constructor(protected readonly classify: Classify) {}

  abstract readonly bufferedBytes: number;
  abstract write(message: Out): boolean;
  abstract end(error?: BarnabasError): void;
  abstract cancel(): void;
  abstract pause(): void;
  abstract resume(): void;
  /** The listener is there: start to deliver. */
  protected abstract begin(): void;
  /** Ends the stream with `error` because this end cannot go on. `finish` follows. */
  protected abstract breakOff(error: BarnabasError): void;

  handle(listener: StreamListener<In>): void {
    assert(this.#listener === undefined, 'a stream is handled once');
    this.#listener = listener;
    const unheard = this.#unheard;
    if (unheard === undefined) this.begin();
    // Never inside `handle`: who calls it may not be ready to be told.
    else queueMicrotask(() => this.#tellClose(listener, unheard.error));
  }

  /** Nothing more is delivered. */
  protected get over(): boolean {
    return this.#over;
  }

  get handled(): boolean {
    return this.#listener !== undefined;
  }

  /** This end has had enough: of what still comes, it is told nothing but `onClose`. */
  protected mute(): void {
    this.#muted = true;
  }

  protected get muted(): boolean {
    return this.#muted;
  }

  protected receive(message: In): void {
    if (this.#over || this.#muted) return;
    try {
      this.#listener?.onMessage(message);
    } catch (error) {
      this.breakOff(this.classify(error));
    }
  }

  protected receiveEnd(): void {
    if (this.#over || this.#muted) return;
    try {
      this.#listener?.onEnd?.();
    } catch (error) {
      this.breakOff(this.classify(error));
    }
  }

  protected receiveDrain(): void {
    if (this.#over || this.#muted) return;
    try {
      this.#listener?.onDrain?.();
    } catch (error) {
      this.breakOff(this.classify(error));
    }
  }

  protected finish(error: BarnabasError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#listener === undefined) this.#unheard = { error };
    else this.#tellClose(this.#listener, error);
  }

  #tellClose(listener: StreamListener<In>, error: BarnabasError | undefined): void {
    try {
      listener.onClose(error);
    } catch (thrown) {
      this.classify(thrown);
    }
  }
}
