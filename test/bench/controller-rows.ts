/** The controllers: how fast they commit, how soon they fail over, what their snapshots cost. */
import {
  ControllerSubject,
  ELECTION_TIMEOUT_MS,
  change,
  commitsPerSecond,
  rawSyncs,
  snapshotOf,
} from './controller.js';
import { LocalLeader } from './local-leader.js';
import { MiB } from './measure.js';
import { atLeast, atMost } from './rows.js';
import type { Bench } from './rows.js';

/** Changes of metadata on their way at once. */
const IN_FLIGHT = [1, 16, 256];

export async function benchController(bench: Bench): Promise<void> {
  const { rows, directory, scale } = bench;
  console.error('three controllers, each in a process of its own, on one disk');
  const seconds = Math.max(1, 5 * scale);
  const syncs = await rawSyncs(directory, seconds);
  rows.add({ name: 'small appends, fdatasync each', value: syncs, unit: 'syncs/s' });
  await groupCommit(bench, seconds, syncs);
  const subject = await ControllerSubject.start(directory);
  try {
    await subject.commits(256, seconds);
    for (const inFlight of IN_FLIGHT) {
      const rate = await subject.commits(inFlight, seconds);
      const note = `${(rate / syncs).toFixed(2)} × one sync each`;
      rows.add({
        name: `metadata records committed over gRPC, ${inFlight} in flight`,
        value: rate,
        unit: 'records/s',
        note,
      });
    }
    const topicMs = await subject.createTopic(1000);
    rows.add({
      name: 'a topic of 1,000 partitions',
      value: topicMs,
      unit: 'ms',
      goal: atMost(topicMs, 2000, '2,000 ms'),
    });
    const { medianMs, maxMs } = await subject.failOvers(Math.max(2, 10 * scale));
    rows.add({
      name: `fail-over of the controller, election time-out ${ELECTION_TIMEOUT_MS} ms`,
      value: maxMs,
      unit: 'ms (max)',
      note: `median ${medianMs.toFixed(0)}`,
      goal: atMost(maxMs, 1000, '1,000 ms'),
    });
  } finally {
    await subject.stop();
  }
  const snapshot = await snapshotOf(directory, 100_000 * scale);
  const what = `${snapshot.partitions.toLocaleString('en')} partitions`;
  const size = `${(snapshot.bytes / MiB).toFixed(1)} MiB`;
  rows.add({ name: `snapshot of ${what}, written`, value: snapshot.writeMs, unit: 'ms', note: size });
  const memory = `image ${(snapshot.imageBytes / MiB).toFixed(0)} MiB, process at most ${(snapshot.peakBytes / MiB).toFixed(0)} MiB`;
  rows.add({ name: `snapshot of ${what}, loaded`, value: snapshot.loadMs, unit: 'ms', note: memory });
}

async function groupCommit({ rows, directory }: Bench, seconds: number, syncs: number): Promise<void> {
  const leader = await LocalLeader.start(directory, ELECTION_TIMEOUT_MS);
  try {
    let made = 0;
    const commit = () => change(leader.admin, made++);
    await commitsPerSecond(commit, 256, seconds);
    for (const inFlight of IN_FLIGHT) {
      const rate = await commitsPerSecond(commit, inFlight, seconds);
      const ratio = rate / syncs;
      const goal = inFlight === 256 ? { goal: atLeast(ratio, 5, '5 × one sync each') } : {};
      const note = `${ratio.toFixed(2)} × one sync each`;
      const name = `metadata records committed in the leader's process, ${inFlight} in flight`;
      rows.add({ name, value: rate, unit: 'records/s', note, ...goal });
    }
  } finally {
    await leader.stop();
  }
}
