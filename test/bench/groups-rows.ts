/** Groups: how fast members read, how soon a rebalance is over, and what a coordinator's calls cost. */
import { rawGrpc } from './ceilings.js';
import { groupReaders } from './group-readers.js';
import { GroupSubject } from './groups.js';
import { MiB, median } from './measure.js';
import { atLeast, atMost } from './rows.js';
import type { Bench } from './rows.js';

export async function benchGroups(bench: Bench): Promise<void> {
  await readers(bench);
  console.error('group coordinators in an all-in-one process, members in this one');
  const subject = await GroupSubject.start(bench.directory);
  try {
    await coordinators(subject, bench);
  } finally {
    await subject.stop();
  }
}

async function readers({ rows, directory, bytes, scale }: Bench): Promise<void> {
  console.error('a controller, a broker and a gateway, each in a process of its own, readers in this one');
  const raw = (await rawGrpc(bytes / 2, false)).echo.bytesPerSecond / 1024;
  const rounds = Math.max(2, Math.round(7 * scale));
  const figures = await groupReaders(directory, bytes / 2, [4, 8], rounds);
  const { alone, direct, members, subscribed, ratios } = figures;
  const against = (rate: number) => `${(rate / alone).toFixed(2)} × without a group, ${(rate / raw).toFixed(2)} × echo`;
  rows.add({ name: '1 KiB records read without a group', value: alone, unit: 'records/s', note: against(alone) });
  for (const [count, rate] of [[1, direct] as const, ...members]) {
    const name = `  by a group of ${count}`;
    rows.add({ name, value: rate, unit: 'records/s', note: against(rate) });
  }
  const ratio = median(ratios);
  const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)} in ${rounds} turns`;
  rows.add({
    name: '  by Subscribe through a gateway',
    value: subscribed,
    unit: 'records/s',
    note: `${ratio.toFixed(2)} × a direct member (${spread}), ${(subscribed / raw).toFixed(2)} × echo`,
    goal: atLeast(ratio, 0.5, '0.5 × a direct member'),
  });
}

async function coordinators(subject: GroupSubject, { rows, scale }: Bench): Promise<void> {
  const moved = await subject.rebalance(Math.max(10, 100 * scale), Math.max(100, 1000 * scale));
  const what = `${moved.members} members, ${moved.partitions.toLocaleString('en')} partitions`;
  rows.add({ name: `${what}: all join at once`, value: moved.allJoinMs, unit: 'ms' });
  rows.add({
    name: `${what}: one more joins`,
    value: moved.oneMoreMs,
    unit: 'ms',
    note: `until all have what they shall have; ${moved.oneMoreCpuMs.toFixed(0)} ms of the server's CPU`,
    goal: atMost(moved.oneMoreMs, 1000, '1,000 ms'),
  });
  rows.add({ name: `${what}: one leaves`, value: moved.oneLessMs, unit: 'ms' });

  const many = await subject.manyGroups(Math.max(50, 1000 * scale), Math.max(1, 10 * scale));
  const groupCount = many.groups.toLocaleString('en');
  const memory = many.memoryBytes / MiB;
  const each = `${(many.memoryBytes / many.groups / 1024).toFixed(1)} KiB a group, a waiting call each`;
  rows.add({ name: `${groupCount} groups of one member, memory`, value: memory, unit: 'MiB', note: each });
  rows.add({ name: `${groupCount} members waiting for news`, value: many.waitingCores, unit: 'cores' });
  const calls = [
    ['calls that do nothing', many.emptyCallsPerSecond, many.emptyCallMicros],
    ['heartbeats', many.heartbeatsPerSecond, many.heartbeatMicros],
    ['commits of one offset, fsync per write', many.commitsPerSecond, many.commitMicros],
  ] as const;
  for (const [name, perSecond, micros] of calls) {
    const against = `${(perSecond / many.emptyCallsPerSecond).toFixed(2)} × a call that does nothing`;
    rows.add({
      name,
      value: perSecond,
      unit: '/s',
      note: `${micros.toFixed(0)} µs of the server's CPU each; ${against}`,
    });
  }
}
