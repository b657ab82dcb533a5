/**
 * The readers of a chaos run: some that run along, and the one that reads everything in the end.
 * A reader ends when it has been given everything up to the ends it is told when it drains.
 */
import { BarnabasClient } from '@barnabas/client';
import type { Consumer, ConsumerBatch } from '@barnabas/client';
import type { Random } from '@barnabas/common';
import { toBarnabasError, v1 } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import { FINAL } from './history.js';
import type { Recorder } from './recorder.js';
import { decodeValue } from './values.js';

export interface ReaderOptions {
  readonly name: string;
  readonly recorder: Recorder;
  readonly bootstrap: readonly string[];
  readonly topic: string;
}

export interface Reader {
  run(): Promise<void>;
  /** `run` resolves when the reader has come to these ends, by partition. */
  drain(ends: readonly number[]): void;
  /** Ends it where it is. */
  stop(): void;
}

const MOVE_AFTER_MS = { least: 4_000, most: 20_000 };
const MOVE_BACK_RECORDS = 2_000;
const PAUSE_AFTER_ERROR_MS = 200;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const all = (topic: string, partitions: number) =>
  Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));

/** The TypeScript client, straight from the leaders. Begins anew at an earlier offset now and then. */
export class DirectReader implements Reader {
  readonly #client: BarnabasClient;
  readonly #consumer: Consumer;
  readonly #next: number[];
  #ends: readonly number[] | undefined;
  #isStopped = false;
  #moveAtMs = 0;

  constructor(
    private readonly options: ReaderOptions,
    private readonly random: Random,
  ) {
    const { bootstrap, name } = options;
    this.#client = new BarnabasClient({ bootstrap, clientId: name, requestTimeoutMs: 10_000 });
    this.#consumer = this.#client.consumer({ autoOffsetReset: 'none', fetchMaxWaitMs: 50 });
    this.#next = new Array<number>(options.recorder.partitions).fill(0);
  }

  drain(ends: readonly number[]): void {
    this.#ends = ends;
    // Nothing more may come that would let it look.
    if (this.#isThere) this.stop();
  }

  stop(): void {
    this.#isStopped = true;
    void this.#consumer.close();
  }

  async run(): Promise<void> {
    await this.#move(() => 0);
    while (!this.#isStopped && !this.#isThere) {
      try {
        if (await this.#readUntilMove()) await this.#move((partition) => this.#earlier(partition));
      } catch (thrown) {
        if (this.#isStopped) break;
        this.#onError(thrown);
        await pause(PAUSE_AFTER_ERROR_MS);
      }
    }
    await this.#client.close();
  }

  get #isThere(): boolean {
    return this.#ends?.every((end, partition) => (this.#next[partition] ?? 0) >= end) ?? false;
  }

  /** Not too far back, or readers of a long run would do little else than read the same again. */
  #earlier(partition: number): number {
    const next = this.#next[partition] ?? 0;
    return next - this.random.below(Math.min(next, MOVE_BACK_RECORDS) + 1);
  }

  async #move(offset: (partition: number) => number): Promise<void> {
    const { topic, recorder, name } = this.options;
    const assignment = all(topic, recorder.partitions).map((one) => ({
      ...one,
      position: { offset: offset(one.partition) },
    }));
    await this.#consumer.assign(assignment);
    recorder.assign(name);
    for (const { partition, position } of assignment) this.#next[partition] = position.offset;
    const { least, most } = MOVE_AFTER_MS;
    this.#moveAtMs = performance.now() + least + this.random.below(most - least);
  }

  /** True when it is time to begin elsewhere. */
  async #readUntilMove(): Promise<boolean> {
    for await (const batch of this.#consumer.batches()) {
      this.#take(batch);
      if (this.#isStopped || this.#isThere) return false;
      if (this.#ends === undefined && performance.now() > this.#moveAtMs) return true;
    }
    return false;
  }

  #take({ partition, records, nextOffset }: ConsumerBatch): void {
    const { recorder, name } = this.options;
    const values = records.map(({ value }) => decodeValue(value));
    recorder.poll({ process: name, partition, offsets: records.map(({ offset }) => offset), values });
    this.#next[partition] = nextOffset;
  }

  #onError(thrown: unknown): void {
    const { recorder, name } = this.options;
    const error = toBarnabasError(thrown);
    recorder.error(name, error);
    // What a reader has been given is committed: no leader may lack it.
    if (!error.retriable) recorder.problem(`${name} was refused: ${error.errorName}: ${error.message}`);
  }
}

/** Any language with gRPC: Consume through a gateway, a stream for each partition, gone on with where it broke. */
export class ThinReader implements Reader {
  readonly #connector = createConnector();
  readonly #next: number[];
  #ends: readonly number[] | undefined;
  #isStopped = false;
  readonly #cancels = new Set<() => void>();

  constructor(private readonly options: ReaderOptions) {
    this.#next = new Array<number>(options.recorder.partitions).fill(0);
  }

  drain(ends: readonly number[]): void {
    this.#ends = ends;
    this.#next.forEach((_, partition) => this.#isThere(partition) && this.#cancelAll());
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelAll();
  }

  async run(): Promise<void> {
    await Promise.all(this.#next.map((_, partition) => this.#readPartition(partition)));
    this.#connector.close();
  }

  #cancelAll(): void {
    for (const cancel of [...this.#cancels]) cancel();
  }

  #isThere(partition: number): boolean {
    const end = this.#ends?.[partition];
    return end !== undefined && (this.#next[partition] ?? 0) >= end;
  }

  async #readPartition(partition: number): Promise<void> {
    const { bootstrap, recorder, name } = this.options;
    for (let turn = partition; !this.#isStopped && !this.#isThere(partition); turn++) {
      const error = await this.#consume(bootstrap[turn % bootstrap.length] ?? '', partition);
      if (error === undefined || this.#isStopped) continue;
      recorder.error(name, error);
      if (!error.retriable) recorder.problem(`${name} was refused: ${error.errorName}: ${error.message}`);
      await pause(PAUSE_AFTER_ERROR_MS);
    }
  }

  #consume(address: string, partition: number): Promise<ReturnType<typeof toBarnabasError> | undefined> {
    const { topic, recorder, name } = this.options;
    const offset = this.#next[partition] ?? 0;
    const request = v1.ConsumeRequest.create({
      topic,
      partitions: [partition],
      start: { position: { $case: 'offset', offset } },
    });
    const stream = this.#connector.channel(address).client(v1.LogServiceDefinition).consume(request);
    return new Promise((resolve) => {
      const end = (error?: ReturnType<typeof toBarnabasError>) => {
        this.#cancels.delete(cancel);
        resolve(error);
      };
      const cancel = () => {
        stream.cancel();
        end();
      };
      this.#cancels.add(cancel);
      stream.handle({
        onMessage: ({ records }) => {
          const offsets = records.map((record) => record.offset);
          recorder.poll({ process: name, partition, offsets, values: records.map(({ value }) => decodeValue(value)) });
          this.#next[partition] = (offsets.at(-1) ?? offset - 1) + 1;
          if (this.#isThere(partition)) cancel();
        },
        onClose: (error) => end(error),
      });
    });
  }
}

/** The ends of all partitions now. */
export async function endOffsets(
  bootstrap: readonly string[],
  topic: string,
  partitions: number,
): Promise<readonly number[]> {
  const client = new BarnabasClient({ bootstrap, clientId: 'ends', requestTimeoutMs: 10_000 });
  try {
    const found = await client.consumer().endOffsets(all(topic, partitions));
    return found.map(({ offset }) => offset);
  } finally {
    await client.close();
  }
}

/** Reads every partition from its beginning up to these ends. */
export async function readEverything(options: Omit<ReaderOptions, 'name'>, ends: readonly number[]): Promise<void> {
  const { bootstrap, recorder, topic } = options;
  const client = new BarnabasClient({ bootstrap, clientId: FINAL, requestTimeoutMs: 10_000 });
  const consumer = client.consumer({ autoOffsetReset: 'none', fetchMaxWaitMs: 50 });
  try {
    const left = new Set(ends.flatMap((end, partition) => (end > 0 ? [partition] : [])));
    if (left.size === 0) return;
    await consumer.assign(all(topic, recorder.partitions).map((one) => ({ ...one, position: 'earliest' as const })));
    for await (const { partition, records, nextOffset } of consumer.batches()) {
      const values = records.map(({ value }) => decodeValue(value));
      recorder.poll({ process: FINAL, partition, offsets: records.map(({ offset }) => offset), values });
      if (nextOffset >= (ends[partition] ?? 0)) left.delete(partition);
      if (left.size === 0) return;
    }
  } finally {
    await client.close();
  }
}
