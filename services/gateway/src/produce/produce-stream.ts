/**
 * LogService/ProduceStream: many requests on their way at once, each answered under its correlation
 * id, in the order in which they are done. A request that is refused as a whole is answered with its
 * error, and the stream goes on.
 *
 * Bounds: the stream is not read from while too many of its bytes, or the gateway's, are on their way
 * (ByteBudget of rpc), nor while its client does not read answers. A client that goes away in the middle
 * loses its answers; what it sent whole is appended.
 */
import { InvariantError } from '@barnabas/common';
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import type { ByteBudget, MessageStream, StreamShare } from '@barnabas/rpc';
import { ProduceSession } from './produce-service.js';
import type { ProduceParts } from './produce-service.js';
import { checkRequest } from './request-check.js';
import type { RequestLimits } from './request-check.js';

type Stream = MessageStream<v1.ProduceStreamRequest, v1.ProduceStreamResponse>;

/** Why a stream is not read. */
type Hold = 'answers' | 'bytes';

export class ProduceStreamSession {
  readonly #stream: Stream;
  readonly #session: ProduceSession;
  readonly #limits: RequestLimits;
  readonly #share: StreamShare;
  readonly #holds = new Set<Hold>();
  #unanswered = 0;
  #isEnded = false;
  #isClosed = false;

  constructor(stream: Stream, parts: ProduceParts, limits: RequestLimits, budget: ByteBudget, onClose: () => void) {
    this.#stream = stream;
    this.#session = new ProduceSession(parts);
    this.#limits = limits;
    this.#share = budget.stream({ pause: () => this.#hold('bytes'), resume: () => this.#release('bytes') });
    stream.handle({
      onMessage: (message) => this.#receive(message),
      onDrain: () => this.#release('answers'),
      onEnd: () => this.#endWhenDone(),
      onClose: () => {
        this.#isClosed = true;
        this.#share.close();
        onClose();
      },
    });
  }

  /** The gateway stops: reads no more, answers what was taken in, then ends. */
  stop(): void {
    this.#hold('bytes');
    this.#endWhenDone();
  }

  #receive({ correlationId, request }: v1.ProduceStreamRequest): void {
    try {
      if (request === undefined) throw new BarnabasError('INVALID_REQUEST', 'a message carries a request');
      this.#append(correlationId, request, checkRequest(request, this.#limits));
    } catch (caught) {
      if (caught instanceof InvariantError) throw caught;
      // With acks 0 nobody waits for an answer, and none may come for a correlation id that was given up.
      if (request?.acks === v1.Acks.NONE) return;
      this.#write({ correlationId, response: undefined, error: errorToProto(toBarnabasError(caught)), more: false });
    }
  }

  #append(correlationId: number, request: v1.ProduceRequest, bytes: number): void {
    this.#unanswered += 1;
    this.#share.take(bytes);
    void this.#session.append(request).then((response) => {
      this.#unanswered -= 1;
      this.#share.give(bytes);
      if (request.acks !== v1.Acks.NONE) this.#write({ correlationId, response, error: undefined, more: false });
      if (this.#isEnded) this.#endWhenDone();
    });
  }

  #write(message: v1.ProduceStreamResponse): void {
    if (!this.#isClosed && !this.#stream.write(message)) this.#hold('answers');
  }

  #endWhenDone(): void {
    this.#isEnded = true;
    if (this.#unanswered === 0 && !this.#isClosed) this.#stream.end();
  }

  #hold(why: Hold): void {
    if (this.#holds.size === 0) this.#stream.pause();
    this.#holds.add(why);
  }

  #release(why: Hold): void {
    if (this.#isEnded || !this.#holds.delete(why) || this.#holds.size > 0) return;
    this.#stream.resume();
  }
}
