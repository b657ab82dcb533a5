/**
 * One ProduceStream to one node: requests pipelined under correlation ids, each answered once,
 * whatever happens to the stream. Does not retry and does not know partitions.
 *
 * Invariants:
 *   S1  each request's callback runs once with `isLast`: with the answer, or its last part, the error of
 *       the request, or the end of the stream; before that with parts of the answer; never inside `send`
 *   S2  a request that is not answered in time ends the stream: a late answer must not overtake a retry
 */
import type { Timer } from '@barnabas/common';
import { BarnabasError, errorFromProto, v1 } from '@barnabas/protocol';
import type { Channel, Environment, MessageStream } from '@barnabas/rpc';

export interface LeaderProduceStreamParts {
  readonly channel: Channel;
  readonly environment: Environment;
  /** How long one request may stay unanswered. */
  readonly answerTimeoutMs: number;
  /** More may be sent: the transport has drained, or an answer has come. */
  readonly onReady: () => void;
  /** The stream is over, for the reason given; all callbacks have run. */
  readonly onClosed: (error: BarnabasError) => void;
}

/** `isLast`: nothing else comes of this request. */
export type ProduceAnswer = (answer: v1.ProduceResponse | BarnabasError, isLast: boolean) => void;

interface Waiting {
  readonly sentMs: number;
  readonly onAnswer: ProduceAnswer;
}

export class LeaderProduceStream {
  readonly #parts: LeaderProduceStreamParts;
  readonly #stream: MessageStream<v1.ProduceStreamResponse, v1.ProduceStreamRequest>;
  /** In the order sent, so the first is the oldest. */
  readonly #waiting = new Map<number, Waiting>();
  #nextCorrelationId = 1;
  #isWritable = true;
  #isClosed = false;
  #timer: Timer | undefined;

  constructor(parts: LeaderProduceStreamParts) {
    this.#parts = parts;
    this.#stream = parts.channel.client(v1.LogServiceDefinition).produceStream();
    this.#stream.handle({
      onMessage: (message) => this.#onMessage(message),
      onDrain: () => {
        this.#isWritable = true;
        parts.onReady();
      },
      onClose: (error) => this.#onClose(error ?? ended(parts.channel.address)),
    });
  }

  /** Requests sent and not answered. */
  get inFlight(): number {
    return this.#waiting.size;
  }

  /** False while the transport has enough to send. */
  get isWritable(): boolean {
    return this.#isWritable && !this.#isClosed;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Sends a request that is answered. */
  send(request: v1.ProduceRequest, onAnswer: ProduceAnswer): void {
    const correlationId = this.#nextCorrelationId++;
    this.#waiting.set(correlationId, { sentMs: this.#now(), onAnswer });
    this.#write({ correlationId, request, answerEarly: true });
    if (this.#timer === undefined) this.#armTimer(this.#parts.answerTimeoutMs);
  }

  /** Sends a request with acks 0, which is never answered. */
  sendUnanswered(request: v1.ProduceRequest): void {
    this.#write({ correlationId: this.#nextCorrelationId++, request, answerEarly: false });
  }

  /** Ends in good order: what was written is sent, answers are still taken. */
  end(): void {
    this.#stream.end();
  }

  /** Breaks off; what is not answered fails with NETWORK_EXCEPTION. */
  cancel(): void {
    this.#stream.cancel();
    this.#onClose(ended(this.#parts.channel.address));
  }

  #write(message: v1.ProduceStreamRequest): void {
    if (!this.#stream.write(message)) this.#isWritable = false;
  }

  #onMessage({ correlationId, response, error, more }: v1.ProduceStreamResponse): void {
    const waiting = this.#waiting.get(correlationId);
    if (waiting === undefined) return;
    const isLast = !more || response === undefined;
    if (isLast) this.#waiting.delete(correlationId);
    if (response !== undefined) waiting.onAnswer(response, isLast);
    else waiting.onAnswer(error === undefined ? emptyAnswer() : errorFromProto(error), isLast);
    this.#parts.onReady();
  }

  #onClose(error: BarnabasError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { onAnswer } of waiting) onAnswer(error, true);
    this.#parts.onClosed(error);
  }

  /** One timer for the oldest request; most often that one has been answered when it fires. */
  #armTimer(delayMs: number): void {
    this.#timer = this.#parts.environment.timers.after(delayMs, () => {
      this.#timer = undefined;
      const [oldest] = this.#waiting.values();
      if (oldest === undefined || this.#isClosed) return;
      const leftMs = oldest.sentMs + this.#parts.answerTimeoutMs - this.#now();
      if (leftMs > 0) {
        this.#armTimer(leftMs);
        return;
      }
      this.#stream.cancel();
      this.#onClose(unanswered(this.#parts.channel.address, this.#parts.answerTimeoutMs));
    });
  }

  #now(): number {
    return this.#parts.environment.clock.monotonic();
  }
}

function ended(address: string): BarnabasError {
  return new BarnabasError('NETWORK_EXCEPTION', `the produce stream to ${address} ended before the answer`, {
    address,
  });
}

function unanswered(address: string, timeoutMs: number): BarnabasError {
  return new BarnabasError('REQUEST_TIMED_OUT', `${address} did not answer a produce request in ${timeoutMs} ms`, {
    address,
  });
}

function emptyAnswer(): BarnabasError {
  return new BarnabasError('UNKNOWN_SERVER_ERROR', 'a produce answer has neither a response nor an error');
}
