/**
 * A stream of parts over a stream of messages that carry several: what is written in one turn of the
 * event loop travels in one message, as far as it is not too large.
 *
 * Why: a message costs some 0.1 ms at each end, whatever it carries. When a broker is lost, each of a
 * thousand partitions asks its new leader, is answered and is sent batches, all at once; and what a
 * process writes leaves it only when it comes to rest, so that a thousand messages are also a long wait
 * for the first.
 *
 * Invariants:
 *   parts are delivered in the order in which they were written, each once
 *   nothing is delivered behind `end`, `cancel` or the end of the stream, also of a message in hand
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { MessageStream, StreamListener } from '@barnabas/rpc';

interface Message<Part> {
  readonly parts: Part[];
}

/** A message is sent at the latest when it has this many bytes ... */
const ENOUGH_BYTES = 32 * 1024;
/** ... or parts: the other side works on them while the next are gathered. */
const ENOUGH_PARTS = 128;

export class GatheredStream<In, Out> implements MessageStream<In, Out> {
  #gathered: Out[] = [];
  #gatheredBytes = 0;
  #isDue = false;
  #isFull = false;
  #isOver = false;

  constructor(
    private readonly stream: MessageStream<Message<In>, Message<Out>>,
    /** Bytes of a part, about. */
    private readonly sizeOf: (part: Out) => number,
  ) {}

  get bufferedBytes(): number {
    return this.stream.bufferedBytes + this.#gatheredBytes;
  }

  handle(listener: StreamListener<In>): void {
    this.stream.handle({
      onMessage: ({ parts }) => {
        for (const part of parts) {
          if (this.#isOver) return;
          listener.onMessage(part);
        }
      },
      onDrain: () => {
        this.#isFull = false;
        listener.onDrain?.();
      },
      onEnd: () => listener.onEnd?.(),
      onClose: (error) => {
        this.#isOver = true;
        listener.onClose(error);
      },
    });
  }

  /** False: the transport's buffer was full when the last message left. */
  write(part: Out): boolean {
    if (this.#isOver) return true;
    this.#gathered.push(part);
    this.#gatheredBytes += this.sizeOf(part);
    if (this.#gatheredBytes >= ENOUGH_BYTES || this.#gathered.length >= ENOUGH_PARTS) this.#send();
    else this.#sendSoon();
    return !this.#isFull;
  }

  end(error?: BarnabasError): void {
    this.#send();
    this.#isOver = true;
    this.stream.end(error);
  }

  cancel(): void {
    this.#isOver = true;
    this.stream.cancel();
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  #sendSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    void Promise.resolve().then(() => {
      this.#isDue = false;
      this.#send();
    });
  }

  #send(): void {
    if (this.#isOver || this.#gathered.length === 0) return;
    const parts = this.#gathered;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (!this.stream.write({ parts })) this.#isFull = true;
  }
}
