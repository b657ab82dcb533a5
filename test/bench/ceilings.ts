/**
 * What the machine can do at best, measured in the same run as Barnabas: a file, LevelDB alone, and
 * grpc-js alone, each with 64 KiB at a time.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import { openLevelStore } from './level.js';
import { noise, timed } from './measure.js';
import { rawClient } from './raw-grpc.js';

const CHUNK = 64 * 1024;

export interface Throughput {
  readonly bytesPerSecond: number;
  /** For ceilings that sync: how many syncs. */
  readonly syncsPerSecond?: number;
}

/** Appends to one file; with `sync`, an fdatasync after each chunk. */
export async function fileAppend(directory: string, bytes: number, sync: boolean): Promise<Throughput> {
  const file = await fs.open(path.join(directory, 'append'), 'w');
  const chunk = noise(CHUNK, 1);
  const count = Math.ceil(bytes / CHUNK);
  const seconds = await timed(async () => {
    for (let n = 0; n < count; n++) {
      await file.write(chunk);
      if (sync) await file.datasync();
    }
    if (!sync) await file.datasync();
  });
  await file.close();
  await fs.rm(path.join(directory, 'append'));
  return { bytesPerSecond: (count * CHUNK) / seconds, ...(sync ? { syncsPerSecond: count / seconds } : {}) };
}

/** LevelDB alone, growing keys, 64 KiB values, up to four to a write, as the partition log coalesces them. */
export async function levelAlone(directory: string, bytes: number, sync: boolean): Promise<Throughput> {
  const location = path.join(directory, 'level');
  const store = await openLevelStore(location);
  const values = Array.from({ length: 8 }, (_, n) => noise(CHUNK, n + 1));
  const perWrite = 4;
  const writes = Math.ceil(bytes / CHUNK / perWrite);
  let next = 0;
  const seconds = await timed(async () => {
    for (let n = 0; n < writes; n++) {
      const operations = Array.from({ length: perWrite }, () => {
        const key = Buffer.allocUnsafe(8);
        key.writeBigUInt64BE(BigInt(next));
        return { type: 'put' as const, key, value: values[next++ % values.length] ?? Buffer.alloc(0) };
      });
      await store.write(operations, { sync });
    }
    await store.sync();
  });
  await store.close();
  await fs.rm(location, { recursive: true, force: true });
  return { bytesPerSecond: (next * CHUNK) / seconds, ...(sync ? { syncsPerSecond: writes / seconds } : {}) };
}

export interface RawGrpc {
  /** 64 KiB up, a few bytes back for each: the shape of produce. */
  readonly upload: Throughput;
  /** 64 KiB up and the same 64 KiB back. */
  readonly echo: Throughput;
}

/** One bidirectional stream of plain grpc-js between two processes; `wide` as in raw-grpc.ts. */
export async function rawGrpc(bytes: number, wide: boolean): Promise<RawGrpc> {
  const program = path.join(__dirname, 'raw-grpc-server.js');
  const child = fork(program, [wide ? 'wide' : 'plain'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  try {
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    const messages = Math.ceil(bytes / CHUNK);
    const run = async (method: 'Upload' | 'Echo'): Promise<Throughput> => {
      await rawClient(port, method, wide, CHUNK, Math.ceil(messages / 4));
      const seconds = await timed(() => rawClient(port, method, wide, CHUNK, messages));
      return { bytesPerSecond: (messages * CHUNK) / seconds };
    };
    return { upload: await run('Upload'), echo: await run('Echo') };
  } finally {
    child.disconnect();
    await once(child, 'exit');
  }
}
