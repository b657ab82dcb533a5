/**
 * What benchmarks do to a running cluster: topics, producing, consuming, end-to-end latency. Data are
 * incompressible, and topics are new for each figure. Knows clients and process ids, not how the
 * processes came to be.
 */
import type { BarnabasClient } from '@barnabas/client';
import type { Acks } from '@barnabas/client';
import * as hdr from 'hdr-histogram-js';
import { performance } from 'node:perf_hooks';
import { cpuSeconds, MiB, noise, timed } from './measure.js';

export const PARTITIONS = 4;

/** Beyond it a record is a batch of its own. */
const LARGE_RECORD_BYTES = 32 * 1024;

export interface ProduceShape {
  readonly acks: Acks;
  readonly recordBytes: number;
  readonly totalBytes: number;
  /** True: fsync before each acknowledgement, the default. False: Kafka's own behaviour. */
  readonly fsync: boolean;
  /** Of the new topic; PARTITIONS unless told otherwise. */
  readonly partitions?: number;
}

export interface Flow {
  readonly records: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
  /** CPU seconds spent for each second of the run, of at most the machine's cores. */
  readonly serverCores: number | undefined;
  readonly clientCores: number | undefined;
}

/** For a note. */
export const coresOf = ({ serverCores, clientCores }: Flow): string =>
  serverCores === undefined || clientCores === undefined
    ? ''
    : `, server ${serverCores.toFixed(2)} cores, client ${clientCores.toFixed(2)}`;

export interface Produced extends Flow {
  readonly topic: string;
}

export interface WorkloadShape {
  readonly serverPids: () => readonly number[];
  readonly replicationFactor: number;
  /** Topic configuration beside the flush policy. */
  readonly configs?: Readonly<Record<string, string>>;
}

export class Workload {
  readonly #values = new Map<number, Buffer[]>();
  #topics = 0;

  constructor(
    readonly client: BarnabasClient,
    private readonly shape: WorkloadShape,
  ) {}

  async newTopic(fsync: boolean, partitions = PARTITIONS): Promise<string> {
    const name = `bench-${this.shape.replicationFactor}-${this.#topics++}`;
    const relaxed = fsync ? {} : { 'flush.messages': '9223372036854775807' };
    const configs: Record<string, string> = { ...this.shape.configs, ...relaxed };
    const { replicationFactor } = this.shape;
    await this.client.admin().createTopics([{ name, partitions, replicationFactor, configs }]);
    return name;
  }

  async dropTopic(name: string): Promise<void> {
    await this.client.admin().deleteTopics([name]);
  }

  async produce({ acks, recordBytes, totalBytes, fsync, partitions }: ProduceShape): Promise<Produced> {
    const topic = await this.newTopic(fsync, partitions);
    const producer = this.client.producer({
      acks,
      lingerMs: 5,
      batchSize: recordBytes > LARGE_RECORD_BYTES ? 64 * 1024 : 256 * 1024,
      bufferMemory: 16 * MiB,
      maxRequestSize: 4 * MiB,
    });
    const records = Math.ceil(totalBytes / recordBytes);
    const values = this.#valuesOf(recordBytes);
    let failure: unknown;
    const flow = await this.#flow(records, records * recordBytes, async () => {
      for (let n = 0; n < records; n++) {
        producer.send({ topic, value: values[n & 255] ?? null }).catch((error: unknown) => {
          failure ??= error;
        });
        if (!producer.writable) await producer.drained();
      }
      await producer.flush();
    });
    await producer.close();
    if (failure !== undefined) throw failure instanceof Error ? failure : new Error(String(failure));
    return { ...flow, topic };
  }

  /** Reads a whole topic from its beginning, looking at every record. */
  async consume(topic: string, records: number, partitions = PARTITIONS): Promise<Flow> {
    const consumer = this.client.consumer();
    const assignment = Array.from({ length: partitions }, (_, partition) => ({
      topic,
      partition,
      position: 'earliest' as const,
    }));
    let seen = 0;
    let bytes = 0;
    const flow = await this.#flow(records, 0, async () => {
      await consumer.assign(assignment);
      for await (const batch of consumer.batches()) {
        for (const record of batch.records) {
          seen++;
          bytes += record.value?.length ?? 0;
        }
        if (seen >= records) break;
      }
    });
    await consumer.close();
    return { ...flow, bytes, bytesPerSecond: bytes / flow.seconds };
  }

  /** Latency from when a record was due to be sent to when the consumer has it, at a fixed rate. */
  async endToEnd(recordsPerSecond: number, seconds: number, fsync: boolean): Promise<hdr.Histogram> {
    const topic = await this.newTopic(fsync, 1);
    const histogram = hdr.build({
      lowestDiscernibleValue: 1,
      highestTrackableValue: 60_000_000,
      numberOfSignificantValueDigits: 3,
    });
    const consumer = this.client.consumer();
    await consumer.assign([{ topic, partition: 0, position: 'earliest' }]);
    const total = recordsPerSecond * seconds;
    const consumed = (async () => {
      let seen = 0;
      for await (const record of consumer) {
        const due = Number(
          Buffer.from(record.value ?? [])
            .toString()
            .trim(),
        );
        histogram.recordValue(Math.max(1, Math.round((performance.now() - due) * 1000)));
        if (++seen === total) break;
      }
    })();
    const producer = this.client.producer({ lingerMs: 0 });
    const began = performance.now() + 100;
    await new Promise<void>((resolve, reject) => {
      let sent = 0;
      const tick = () => {
        const due = Math.min(total, Math.floor(((performance.now() - began) / 1000) * recordsPerSecond));
        for (; sent < due; sent++) {
          const at = began + (sent * 1000) / recordsPerSecond;
          producer.send({ topic, value: String(at).padEnd(100) }).catch(reject);
        }
        if (sent === total) resolve();
        else setTimeout(tick, 1);
      };
      tick();
    });
    await producer.close();
    await consumed;
    await consumer.close();
    return histogram;
  }

  async #flow(records: number, bytes: number, work: () => Promise<void>): Promise<Flow> {
    const cpu = { server: this.#serverSeconds(), client: cpuSeconds(process.pid) };
    const seconds = await timed(work);
    const cores = (before: number | undefined, after: number | undefined) =>
      before === undefined || after === undefined ? undefined : (after - before) / seconds;
    return {
      records,
      bytes,
      seconds,
      recordsPerSecond: records / seconds,
      bytesPerSecond: bytes / seconds,
      serverCores: cores(cpu.server, this.#serverSeconds()),
      clientCores: cores(cpu.client, cpuSeconds(process.pid)),
    };
  }

  #serverSeconds(): number | undefined {
    let seconds = 0;
    for (const pid of this.shape.serverPids()) {
      const used = cpuSeconds(pid);
      if (used === undefined) return undefined;
      seconds += used;
    }
    return seconds;
  }

  #valuesOf(size: number): Buffer[] {
    let values = this.#values.get(size);
    if (values === undefined) {
      values = Array.from({ length: 256 }, (_, n) => noise(size, n + 1));
      this.#values.set(size, values);
    }
    return values;
  }
}
