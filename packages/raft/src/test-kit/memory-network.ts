/** A network between nodes of one process, in virtual time: each message takes a while, some are lost. */
import type { Random, Timers } from '@barnabas/common';
import type { PeerMessage } from '../peer-message.js';
import type { RaftTransport } from '../transport/types.js';

export class MemoryNetwork {
  readonly #receivers = new Map<number, (message: PeerMessage) => void>();
  /** Node ids by address. */
  readonly #addresses = new Map<string, number>();
  readonly #cut = new Set<number>();
  /** One message in so many is lost; 0 for none. */
  lossOneIn = 0;
  /** Messages handed over so far, by type. */
  readonly delivered = new Map<PeerMessage['type'], number>();

  constructor(
    readonly timers: Timers,
    readonly random: Random,
  ) {}

  cut(...ids: readonly number[]): void {
    for (const id of ids) this.#cut.add(id);
  }

  join(): void {
    this.#cut.clear();
  }

  /** The way out of and into a node that is reached at `endpoint`. */
  transport(id: number, endpoint: string): RaftTransport {
    this.#addresses.set(endpoint, id);
    let receive: ((message: PeerMessage) => void) | undefined;
    return {
      start: (_self, receiver) => {
        receive = receiver;
        this.#receivers.set(id, receiver);
      },
      connect: () => undefined,
      send: (message) => this.#send(message),
      stop: () => {
        if (this.#receivers.get(id) === receive) this.#receivers.delete(id);
      },
    };
  }

  #send(message: PeerMessage): void {
    const to = message.type === 'announce' ? this.#addresses.get(message.toEndpoint) : message.to;
    if (to === undefined || this.#cut.has(message.from) || this.#cut.has(to)) return;
    if (this.lossOneIn > 0 && this.random.below(this.lossOneIn) === 0) return;
    this.timers.after(1 + this.random.below(3), () => {
      if (this.#cut.has(message.from) || this.#cut.has(to)) return;
      this.delivered.set(message.type, (this.delivered.get(message.type) ?? 0) + 1);
      this.#receivers.get(to)?.(message);
    });
  }
}
