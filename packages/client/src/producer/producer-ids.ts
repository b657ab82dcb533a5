/**
 * The producer id of an idempotent producer (KIP-98), shared by its partitions. Each partition counts
 * its own epochs from the one that came with the id: a leader judges them partition by partition, and
 * nobody else has the id.
 */
import { toBarnabasError, v1 } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';

export interface ProducerId {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface ProducerIdsParts {
  readonly router: ClusterRouter;
  /** How long to go on asking. */
  readonly timeoutMs: number;
  /** There is an id now, or another. */
  readonly onReady: () => void;
  /** There will be none. */
  readonly onFailed: (error: BarnabasError) => void;
}

export class ProducerIds {
  readonly #parts: ProducerIdsParts;
  #current: ProducerId | undefined;
  #isAsking = false;

  constructor(parts: ProducerIdsParts) {
    this.#parts = parts;
  }

  /** The id, if there is one other than `stale`; otherwise one is asked for. */
  get(stale?: number): ProducerId | undefined {
    if (this.#current !== undefined && this.#current.producerId !== stale) return this.#current;
    if (!this.#isAsking) void this.#ask();
    return undefined;
  }

  async #ask(): Promise<void> {
    const { router, timeoutMs, onReady, onFailed } = this.#parts;
    this.#isAsking = true;
    try {
      this.#current = await router.callAnyNode(
        (channel, options) => channel.client(v1.LogServiceDefinition).initProducerId({}, options),
        { timeoutMs },
      );
    } catch (error) {
      this.#isAsking = false;
      onFailed(toBarnabasError(error));
      return;
    }
    this.#isAsking = false;
    onReady();
  }
}
