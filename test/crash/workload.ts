/**
 * Producers that keep sending through every crash, and the reader that looks at what is left.
 * Everything sent and everything acknowledged is written down for the checker.
 */
import { BarnabasClient } from '@barnabas/client';
import type { Acknowledged, Found, Sent } from './checker.js';

export interface WorkloadOptions {
  readonly bootstrap: string;
  readonly topic: string;
  readonly partitions: number;
  readonly producers: number;
}

/** Grows a little so that batches, and what a kill tears, differ in size. */
const padding = (sequence: number) => 'x'.repeat((sequence * 37) % 900);

export class Workload {
  readonly sent: Sent[] = [];
  readonly acknowledged: Acknowledged[] = [];
  readonly failures: string[] = [];
  #running = true;
  #done: Promise<unknown> = Promise.resolve();
  #waiters: { count: number; resolve: () => void }[] = [];

  constructor(private readonly options: WorkloadOptions) {}

  start(): void {
    const { producers } = this.options;
    this.#done = Promise.all(Array.from({ length: producers }, (_, n) => this.#produce(`p${n}`)));
  }

  /** Resolves when so many records more have been acknowledged. */
  progress(records: number): Promise<void> {
    return new Promise((resolve) => this.#waiters.push({ count: this.acknowledged.length + records, resolve }));
  }

  /** No more records; resolves when each one sent has been acknowledged or has failed. */
  async finish(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #produce(name: string): Promise<void> {
    const client = new BarnabasClient({ bootstrap: this.options.bootstrap, clientId: name });
    const producer = client.producer({ acks: 'all', lingerMs: 1, deliveryTimeoutMs: 120_000 });
    const next = new Array<number>(this.options.partitions).fill(0);
    for (let n = 0; this.#running; n++) {
      const partition = n % this.options.partitions;
      const sequence = next[partition] ?? 0;
      next[partition] = sequence + 1;
      const record: Sent = { producer: name, partition, sequence };
      this.sent.push(record);
      producer
        .send({ topic: this.options.topic, partition, key: name, value: `${sequence} ${padding(sequence)}` })
        .then(
          ({ offset }) => this.#acknowledge({ ...record, offset }),
          (error: unknown) => this.failures.push(`${name}/${partition}/${sequence}: ${String(error)}`),
        );
      if (!producer.writable) await producer.drained();
      // Small bursts: many batches on their way, none of them huge.
      if (n % 200 === 199) await producer.flush();
    }
    await producer.close();
    await client.close();
  }

  #acknowledge(record: Acknowledged): void {
    this.acknowledged.push(record);
    const due = this.#waiters.filter(({ count }) => this.acknowledged.length >= count);
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const { resolve } of due) resolve();
  }
}

/** Every record of the topic, partition by partition, in order of offset. */
export async function readAll({ bootstrap, topic, partitions }: WorkloadOptions): Promise<Found[]> {
  const client = new BarnabasClient({ bootstrap, clientId: 'checker' });
  const consumer = client.consumer();
  const found: Found[] = [];
  try {
    const assignment = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
    const ends = await consumer.endOffsets(assignment);
    await consumer.assign(assignment.map((at) => ({ ...at, position: 'earliest' as const })));
    let left = ends.filter(({ offset }) => offset > 0).length;
    if (left === 0) return found;
    const endOf = new Map(ends.map(({ partition, offset }) => [partition, offset]));
    for await (const record of consumer) {
      const sequence = Number(
        Buffer.from(record.value ?? [])
          .toString()
          .split(' ', 1)[0],
      );
      const producer = Buffer.from(record.key ?? []).toString();
      found.push({ producer, partition: record.partition, sequence, offset: record.offset });
      if (record.offset === (endOf.get(record.partition) ?? 0) - 1 && --left === 0) break;
    }
  } finally {
    await consumer.close();
    await client.close();
  }
  return found.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}
