/** Open batches by the time at which they are due: all linger equally long, so a queue and one timer do. */
import type { Clock, Timer, Timers } from '@barnabas/common';
import type { ProducerBatch } from './producer-batch.js';
import type { ProducerPartition } from './producer-partition.js';

interface Lingering {
  readonly batch: ProducerBatch;
  readonly partition: ProducerPartition;
}

export class LingerQueue {
  readonly #lingerMs: number;
  readonly #ports: { readonly clock: Clock; readonly timers: Timers };
  readonly #onDue: (partition: ProducerPartition, batch: ProducerBatch) => void;
  #queue: Lingering[] = [];
  #timer: Timer | undefined;

  constructor(
    lingerMs: number,
    ports: { readonly clock: Clock; readonly timers: Timers },
    onDue: (partition: ProducerPartition, batch: ProducerBatch) => void,
  ) {
    this.#lingerMs = lingerMs;
    this.#ports = ports;
    this.#onDue = onDue;
  }

  add(partition: ProducerPartition, batch: ProducerBatch): void {
    this.#queue.push({ partition, batch });
    if (this.#timer === undefined) this.#arm(this.#lingerMs);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#queue = [];
  }

  #arm(delayMs: number): void {
    this.#timer = this.#ports.timers.after(delayMs, () => this.#fire());
  }

  #fire(): void {
    this.#timer = undefined;
    const nowMs = this.#ports.clock.monotonic();
    const isOver = ({ partition, batch }: Lingering): boolean =>
      partition.open !== batch || batch.createdMs + this.#lingerMs <= nowMs;
    const firstWaiting = this.#queue.findIndex((entry) => !isOver(entry));
    const over = firstWaiting === -1 ? this.#queue : this.#queue.slice(0, firstWaiting);
    this.#queue = firstWaiting === -1 ? [] : this.#queue.slice(firstWaiting);
    for (const { partition, batch } of over) if (partition.open === batch) this.#onDue(partition, batch);
    const [next] = this.#queue;
    if (next !== undefined && this.#timer === undefined) {
      this.#arm(next.batch.createdMs + this.#lingerMs - nowMs);
    }
  }
}
