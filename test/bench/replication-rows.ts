/** Replication: what three replicas cost, how fast one catches up, and what partitions cost that do nothing. */
import { rawGrpc } from './ceilings.js';
import { MiB } from './measure.js';
import { catchUp, idlePartitions, replicas } from './replication.js';
import { atLeast } from './rows.js';
import type { Bench } from './rows.js';
import { coresOf } from './workload.js';

export async function benchReplication({ rows, directory, bytes, scale }: Bench): Promise<void> {
  console.error('three brokers, each in a process of its own, on the same cores and one disk');
  const raw = (await rawGrpc(bytes / 2, true)).upload.bytesPerSecond;
  const one = await replicas(directory, 1, bytes / 2, Math.max(2, 15 * scale));
  const three = await replicas(directory, 3, bytes / 2, Math.max(2, 15 * scale));
  for (const [factor, { produced, latency: histogram }] of [[1, one] as const, [3, three] as const]) {
    const name = `RF ${factor}, acks=all, 1 KiB records`;
    rows.add({ name, value: produced.bytesPerSecond / MiB, unit: 'MiB/s', note: coresOf(produced).slice(2) });
    const at = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1000;
    const rest = `p90 ${at(90).toFixed(2)}, p99 ${at(99).toFixed(2)}, max ${(histogram.maxValue / 1000).toFixed(2)}`;
    rows.add({ name: `RF ${factor}, end to end at 1,000 records/s`, value: at(50), unit: 'ms (p50)', note: rest });
  }
  const ratio = three.produced.bytesPerSecond / one.produced.bytesPerSecond;
  rows.add({ name: '  RF 3 against RF 1', value: ratio, unit: '×', goal: atLeast(ratio, 0.4, '0.4') });

  const speed = await catchUp(directory, bytes);
  const caughtUp = speed.bytesPerSecond / raw;
  const note = `${caughtUp.toFixed(2)} × a raw upload with wide windows; ${(speed.bytes / MiB).toFixed(0)} MiB missed`;
  rows.add({ name: 'a follower that comes back catches up', value: speed.bytesPerSecond / MiB, unit: 'MiB/s', note });

  for (const { partitions, memoryBytes, cores: used, networkBytes } of await idlePartitions(directory, scale)) {
    const each = `${(memoryBytes / partitions / 1024).toFixed(1)} KiB a partition; ${used.toFixed(3)} cores, ${(networkBytes / 1024).toFixed(1)} KiB/s on the network`;
    rows.add({
      name: `${partitions} idle partitions of RF 3, memory of three brokers`,
      value: memoryBytes / MiB,
      unit: 'MiB',
      note: each,
    });
  }
}
