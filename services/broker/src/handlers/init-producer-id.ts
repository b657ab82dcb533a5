/**
 * LogService/InitProducerId: producer ids, from blocks that the controller hands to this broker alone
 * (KIP-730), so that most calls ask nobody.
 *
 * Errors: those of the call to the controller: NETWORK_EXCEPTION, REQUEST_TIMED_OUT, NOT_CONTROLLER;
 * BROKER_NOT_AVAILABLE while the broker registers again.
 */
import type { v1 } from '@barnabas/protocol';

/** Ids from `next` on, as many as `left`. */
interface Block {
  next: number;
  left: number;
}

export interface ProducerIdBlock {
  readonly firstProducerId: number;
  readonly count: number;
}

export class ProducerIds {
  #block: Block = { next: 0, left: 0 };
  #asking: Promise<void> | undefined;

  constructor(private readonly allocate: () => Promise<ProducerIdBlock>) {}

  /** An id that nobody else has. */
  async next(): Promise<number> {
    // Those who wait for one block may be more than it has ids.
    while (this.#block.left === 0) {
      this.#asking ??= this.#refill().finally(() => (this.#asking = undefined));
      await this.#asking;
    }
    this.#block.left -= 1;
    return this.#block.next++;
  }

  async #refill(): Promise<void> {
    const { firstProducerId, count } = await this.allocate();
    this.#block = { next: firstProducerId, left: count };
  }
}

export async function initProducerId(ids: ProducerIds): Promise<v1.InitProducerIdResponse> {
  return { producerId: await ids.next(), producerEpoch: 0 };
}
