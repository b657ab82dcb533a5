/**
 * The streams of LogService that are open at a broker, so that a stop can end them in good order: clients
 * hold them for as long as they live, and a server that waited for them would use up its whole grace.
 */
import { deferred } from '@barnabas/common';
import type { Deferred } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import type { EndReader } from './fetch/fetch-session.js';
import type { ProduceStreamSession } from './produce/produce-stream.js';

export class OpenStreams {
  readonly #producers = new Set<ProduceStreamSession>();
  readonly #readers = new Set<EndReader>();
  #refusal: BarnabasError | undefined;
  #producersGone: Deferred<void> | undefined;

  /** Throws what new streams are refused with, once the broker stops. */
  admit(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  /** `open` makes the session and is given what forgets it. */
  addProducer(open: (onClose: () => void) => ProduceStreamSession): void {
    this.admit();
    const session: ProduceStreamSession = open(() => {
      this.#producers.delete(session);
      if (this.#producers.size === 0) this.#producersGone?.resolve();
    });
    this.#producers.add(session);
  }

  /** `open` begins to serve the reader and returns what ends it. */
  addReader(open: (onClose: () => void) => EndReader): void {
    this.admit();
    const end: EndReader = open(() => this.#readers.delete(end));
    this.#readers.add(end);
  }

  /**
   * Readers end with the error; no more is read of produce streams, and each ends once what it brought
   * is answered. Resolves when all of those have.
   */
  stop(error: BarnabasError): Promise<void> {
    this.#refusal = error;
    const gone = deferred<void>();
    this.#producersGone = gone;
    for (const end of [...this.#readers]) end(error);
    for (const producer of [...this.#producers]) producer.stop();
    if (this.#producers.size === 0) gone.resolve();
    return gone.promise;
  }

  /** Ends the produce streams that still wait for answers. */
  breakOff(error: BarnabasError): void {
    for (const producer of [...this.#producers]) producer.breakOff(error);
  }
}
