/**
 * LogService/ProduceStream: many requests on their way at once, each answered under its correlation
 * id, in the order in which they are done; a slow one in several parts, if its client takes them.
 *
 * A request that is refused as a whole is answered with its error, and the stream goes on. Entries of
 * one partition are appended in the order of their requests, because messages of a stream arrive in
 * order (R1 of rpc) and each is handed on in the turn in which it arrives.
 *
 * Bounds: the stream is not read from while its bytes, or the broker's, wait for the disk
 * (ByteBudget of rpc), nor while its client does not read answers. A client that goes away in the
 * middle loses its answers; what it sent whole is appended.
 */
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import { InvariantError } from '@barnabas/common';
import type { ByteBudget, MessageStream, StreamShare } from '@barnabas/rpc';
import type { ProduceService } from './produce-service.js';

type Stream = MessageStream<v1.ProduceStreamRequest, v1.ProduceStreamResponse>;

/** Why a stream is not read. */
type Hold = 'answers' | 'disk' | 'stop';

export class ProduceStreamSession {
  readonly #share: StreamShare;
  #unanswered = 0;
  #ended = false;
  #closed = false;
  /** Reasons not to read: answers that nobody takes, bytes that wait for the disk, a broker that stops. */
  readonly #holds = new Set<Hold>();

  constructor(
    private readonly stream: Stream,
    private readonly service: ProduceService,
    /** Nobody else has what comes on the stream. */
    private readonly isOurs: boolean,
    budget: ByteBudget,
    onClose: () => void,
  ) {
    this.#share = budget.stream({ pause: () => this.#hold('disk'), resume: () => this.#release('disk') });
    stream.handle({
      onMessage: (message) => this.#receive(message),
      onDrain: () => this.#release('answers'),
      onEnd: () => {
        this.#ended = true;
        this.#endWhenDone();
      },
      onClose: () => {
        this.#closed = true;
        this.#share.close();
        onClose();
      },
    });
  }

  /** The broker stops: reads no more, answers what was taken in, then ends. */
  stop(): void {
    this.#hold('stop');
    this.#ended = true;
    this.#endWhenDone();
  }

  /** What has no answer by now gets none. */
  breakOff(error: BarnabasError): void {
    if (!this.#closed) this.stream.end(error);
  }

  #receive({ correlationId, request, answerEarly }: v1.ProduceStreamRequest): void {
    try {
      if (request === undefined) throw new BarnabasError('INVALID_REQUEST', 'a message carries a request');
      this.service.admissible(request);
      this.#submit(correlationId, request, answerEarly);
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      const error = errorToProto(toBarnabasError(caught));
      if (request?.acks !== v1.Acks.NONE) this.#write({ correlationId, response: undefined, error, more: false });
    }
  }

  #submit(correlationId: number, request: v1.ProduceRequest, answerEarly: boolean): void {
    const silent = request.acks === v1.Acks.NONE;
    this.#unanswered += 1;
    const done = (response: v1.ProduceResponse): void => {
      this.#unanswered -= 1;
      if (!silent) this.#write({ correlationId, response, error: undefined, more: false });
      this.#endWhenDone();
    };
    const early = (response: v1.ProduceResponse): void =>
      this.#write({ correlationId, response, error: undefined, more: true });
    this.service.submit(request, this.isOurs, this.#share, done, answerEarly && !silent ? early : undefined);
  }

  #write(message: v1.ProduceStreamResponse): void {
    if (this.#closed) return;
    if (!this.stream.write(message)) this.#hold('answers');
  }

  #endWhenDone(): void {
    if (this.#ended && this.#unanswered === 0 && !this.#closed) this.stream.end();
  }

  #hold(why: Hold): void {
    if (this.#holds.size === 0) this.stream.pause();
    this.#holds.add(why);
  }

  #release(why: Hold): void {
    if (!this.#holds.delete(why) || this.#holds.size > 0) return;
    this.stream.resume();
  }
}
