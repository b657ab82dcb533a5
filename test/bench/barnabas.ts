/**
 * Barnabas as its users meet it: a real all-in-one process, and this process as producer or consumer.
 * The server's own I/O counters tell the write amplification.
 */
import { BarnabasClient } from '@barnabas/client';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { Server } from '../support/server.js';
import { residentBytes, writtenBytes } from './measure.js';
import { Workload } from './workload.js';

export class Subject extends Workload {
  private constructor(
    readonly server: Server,
    client: BarnabasClient,
    /** Milliseconds from spawning the process to the first acknowledged record, on an empty disk. */
    readonly firstAckMs: number,
    private readonly dataDir: string,
  ) {
    super(client, { serverPids: () => [server.pid], replicationFactor: 1 });
  }

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
}
