/** A network between nodes of one process, in virtual time: each message takes a while, some are lost. */
import type { Random, Timers } from '@barnabas/common';
import type { PeerMessage } from '../peer-message.js';
import type { RaftTransport } from '../transport/types.js';

export class MemoryNetwork {
  readonly #receivers = new Map<number, (message: PeerMessage) => void>();
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

  transport(id: number): RaftTransport {
    let receive: ((message: PeerMessage) => void) | undefined;
    return {
      start: (receiver) => {
        receive = receiver;
        this.#receivers.set(id, receiver);
      },
      send: (message) => this.#send(message),
      stop: () => {
        if (this.#receivers.get(id) === receive) this.#receivers.delete(id);
      },
    };
  }

  #send(message: PeerMessage): void {
    if (this.#cut.has(message.from) || this.#cut.has(message.to)) return;
    if (this.lossOneIn > 0 && this.random.below(this.lossOneIn) === 0) return;
    this.timers.after(1 + this.random.below(3), () => {
      if (this.#cut.has(message.from) || this.#cut.has(message.to)) return;
      this.delivered.set(message.type, (this.delivered.get(message.type) ?? 0) + 1);
      this.#receivers.get(message.to)?.(message);
    });
  }
}
