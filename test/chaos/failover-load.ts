/** A steady load on every partition in turn, of a client that follows leaders by its watch; and what it measures. */
import { BarnabasClient } from '@barnabas/client';
import type { Producer } from '@barnabas/client';
import { toBarnabasError } from '@barnabas/protocol';
import { Latencies } from './latencies.js';
import { Pace } from './pace.js';

export interface LoadOptions {
  readonly bootstrap: readonly string[];
  readonly topic: string;
  readonly partitions: number;
  readonly recordsPerSecond: number;
}

/** How long it took until a record was acknowledged. */
export interface Pause {
  readonly firstMs: number;
  /** Of the partition that came last. */
  readonly lastMs: number;
}

interface Measurement {
  readonly sinceMs: number;
  readonly sentFromMs: number;
  readonly open: Set<number>;
  firstMs: number | undefined;
  readonly resolve: (pause: Pause) => void;
}

const VALUE = 'x'.repeat(100);

export class FailoverLoad {
  readonly errors = new Map<string, number>();
  acknowledged = 0;
  readonly #options: LoadOptions;
  readonly #pace: Pace;
  readonly #client: BarnabasClient;
  readonly #producer: Producer;
  #measurement: Measurement | undefined;
  #latencies: Latencies | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#pace = new Pace(options.recordsPerSecond);
    this.#client = new BarnabasClient({ bootstrap: options.bootstrap, clientId: 'load' });
    this.#producer = this.#client.producer({ lingerMs: 0 });
  }

  stop(): void {
    this.#pace.stop();
  }

  async run(): Promise<void> {
    const { partitions } = this.#options;
    for (let partition = 0; this.#pace.isRunning; ) {
      for (let due = await this.#pace.next(); due > 0; due--) {
        partition = (partition + 1) % partitions;
        this.#send(partition);
      }
    }
    await this.#client.close();
  }

  /**
   * Sends a record to every partition now. Resolves when each has had one acknowledged that was sent
   * from now on, with the times since `sinceMs`.
   */
  measure(sinceMs: number): Promise<Pause> {
    const all = Array.from({ length: this.#options.partitions }, (_, partition) => partition);
    return new Promise((resolve) => {
      this.#measurement = { sinceMs, sentFromMs: performance.now(), open: new Set(all), firstMs: undefined, resolve };
      for (const partition of all) this.#send(partition);
    });
  }

  /** The latencies of what is sent from now on. */
  collect(): Latencies {
    this.#latencies = new Latencies();
    return this.#latencies;
  }

  endCollecting(): void {
    this.#latencies = undefined;
  }

  #send(partition: number): void {
    const { topic } = this.#options;
    const sent = { partition, atMs: performance.now(), latencies: this.#latencies };
    this.#producer.send({ topic, partition, value: VALUE }).then(
      () => this.#acknowledged(sent),
      (error: unknown) => this.#failed(error),
    );
  }

  #acknowledged(sent: { partition: number; atMs: number; latencies: Latencies | undefined }): void {
    const nowMs = performance.now();
    this.acknowledged++;
    sent.latencies?.add(nowMs - sent.atMs);
    const measurement = this.#measurement;
    if (measurement === undefined || sent.atMs < measurement.sentFromMs) return;
    measurement.firstMs ??= nowMs - measurement.sinceMs;
    measurement.open.delete(sent.partition);
    if (measurement.open.size > 0) return;
    this.#measurement = undefined;
    measurement.resolve({ firstMs: measurement.firstMs, lastMs: nowMs - measurement.sinceMs });
  }

  #failed(thrown: unknown): void {
    const { errorName } = toBarnabasError(thrown);
    this.errors.set(errorName, (this.errors.get(errorName) ?? 0) + 1);
  }
}
