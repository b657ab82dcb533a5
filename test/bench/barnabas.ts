/**
 * Barnabas as its users meet it: a real all-in-one process, and this process as producer or consumer.
 * Data are incompressible, topics are new for each figure, and the server's own I/O counters tell the
 * write amplification.
 */
import { BarnabasClient } from '@barnabas/client';
import type { Acks } from '@barnabas/client';
import * as hdr from 'hdr-histogram-js';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { Server } from '../support/server.js';
import { cpuSeconds, MiB, noise, residentBytes, timed, writtenBytes } from './measure.js';

export const PARTITIONS = 4;

/** Beyond it a record is a batch of its own. */
const LARGE_RECORD_BYTES = 32 * 1024;

export interface ProduceShape {
  readonly acks: Acks;
  readonly recordBytes: number;
  readonly totalBytes: number;
  /** True: fsync before each acknowledgement, the default. False: Kafka's own behaviour. */
  readonly fsync: boolean;
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

export interface Produced extends Flow {
  readonly topic: string;
}

export class Subject {
  readonly #values = new Map<number, Buffer[]>();
  #topics = 0;

  private constructor(
    readonly server: Server,
    readonly client: BarnabasClient,
    /** Milliseconds from spawning the process to the first acknowledged record, on an empty disk. */
    readonly firstAckMs: number,
    private readonly dataDir: string,
  ) {}

  static async start(directory: string): Promise<Subject> {
    const dataDir = path.join(directory, 'barnabas');
    const started = performance.now();
    const server = await Server.start({ dataDir });
    const client = new BarnabasClient({ bootstrap: server.bootstrap, clientId: 'bench' });
    const producer = client.producer({ lingerMs: 0 });
    await producer.send({ topic: 'first', value: 'record' });
    const firstAckMs = performance.now() - started;
    await producer.close();
    return new Subject(server, client, firstAckMs, dataDir);
  }

  async stop(): Promise<void> {
    await this.client.close();
    await this.server.stop();
    fs.rmSync(this.dataDir, { recursive: true, force: true });
  }

  residentBytes(): number | undefined {
    return residentBytes(this.server.pid);
  }

  async newTopic(fsync: boolean, partitions = PARTITIONS): Promise<string> {
    const name = `bench-${this.#topics++}`;
    const configs: Record<string, string> = fsync ? {} : { 'flush.messages': '9223372036854775807' };
    await this.client.admin().createTopics([{ name, partitions, configs }]);
    return name;
  }

  async dropTopic(name: string): Promise<void> {
    await this.client.admin().deleteTopics([name]);
  }

  async produce({ acks, recordBytes, totalBytes, fsync }: ProduceShape): Promise<Produced> {
    const topic = await this.newTopic(fsync);
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
  async consume(topic: string, records: number): Promise<Flow> {
    const consumer = this.client.consumer();
    const assignment = Array.from({ length: PARTITIONS }, (_, partition) => ({
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

  /** Bytes that the server wrote to the disk for each byte of records, once LevelDB has settled. */
  async writeAmplification(totalBytes: number): Promise<number | undefined> {
    const { pid } = this.server;
    const before = writtenBytes(pid);
    if (before === undefined) return undefined;
    const { bytes, topic } = await this.produce({ acks: 'all', recordBytes: 1024, totalBytes, fsync: true });
    let written = writtenBytes(pid) ?? 0;
    for (let quiet = 0; quiet < 4; ) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const now = writtenBytes(pid) ?? 0;
      quiet = now === written ? quiet + 1 : 0;
      written = now;
    }
    await this.dropTopic(topic);
    return (written - before) / bytes;
  }

  async #flow(records: number, bytes: number, work: () => Promise<void>): Promise<Flow> {
    const cpu = { server: cpuSeconds(this.server.pid), client: cpuSeconds(process.pid) };
    const seconds = await timed(work);
    const cores = (pid: number, before: number | undefined) => {
      const after = cpuSeconds(pid);
      return before === undefined || after === undefined ? undefined : (after - before) / seconds;
    };
    return {
      records,
      bytes,
      seconds,
      recordsPerSecond: records / seconds,
      bytesPerSecond: bytes / seconds,
      serverCores: cores(this.server.pid, cpu.server),
      clientCores: cores(process.pid, cpu.client),
    };
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
