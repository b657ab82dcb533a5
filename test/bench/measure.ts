/** Clocks, /proc readings and percentiles that all benchmarks share. */
import fs from 'node:fs';
import { performance } from 'node:perf_hooks';

export const MiB = 1024 * 1024;

export async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

/** Bytes that the process has caused to be written to the disk, as the kernel counts them; undefined outside Linux. */
export function writtenBytes(pid: number): number | undefined {
  return procNumber(`/proc/${pid}/io`, /^write_bytes: (\d+)$/m, 1);
}

export function residentBytes(pid: number): number | undefined {
  return procNumber(`/proc/${pid}/status`, /^VmRSS:\s+(\d+) kB$/m, 1024);
}

/** User and system time of all the process's threads, in seconds. */
export function cpuSeconds(pid: number): number | undefined {
  try {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return undefined;
  }
}

function procNumber(file: string, pattern: RegExp, unit: number): number | undefined {
  try {
    const match = pattern.exec(fs.readFileSync(file, 'utf8'));
    return match === null ? undefined : Number(match[1]) * unit;
  } catch {
    return undefined;
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[middle - 1] ?? 0, sorted[middle] ?? 0];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}

/** Bytes that do not compress and differ from batch to batch. */
export function noise(size: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let at = 0; at + 4 <= size; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, at);
  }
  return bytes;
}
