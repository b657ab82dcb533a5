/**
 * `npm run bench`: in one run, what this machine can do at best and what Barnabas does on it. Prints
 * a table and writes JSON (`--json FILE`, default bench.json in the temporary directory).
 *
 * `--only log`, `--only controller`, `--only replication` or `--only groups` measures one part.
 *
 * `--short` moves a tenth of the data: for CI, where only that it runs is of interest. Figures are
 * ratios within the run; a machine's absolute numbers drift. `--check` ends with 1 where a goal is
 * missed; never used in tests.
 */
import Table from 'cli-table3';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Subject } from './barnabas.js';
import { fileAppend, levelAlone, rawGrpc } from './ceilings.js';
import type { Throughput } from './ceilings.js';
import {
  ControllerSubject,
  ELECTION_TIMEOUT_MS,
  change,
  commitsPerSecond,
  rawSyncs,
  snapshotOf,
} from './controller.js';
import { groupReaders } from './group-readers.js';
import { GroupSubject } from './groups.js';
import { LocalLeader } from './local-leader.js';
import { MiB, median } from './measure.js';
import { catchUp, idlePartitions, replicas } from './replication.js';
import type { Flow } from './workload.js';

interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly note?: string;
  /** What the figure ought to be. */
  readonly goal?: { readonly text: string; readonly met: boolean };
}

/** With its batch header it makes a batch of 64 KiB. */
const BATCH_RECORD_BYTES = 64 * 1024 - 128;

/** Changes of metadata on their way at once. */
const IN_FLIGHT = [1, 16, 256];

const rows: Row[] = [];

function add(row: Row): void {
  rows.push(row);
  const goal = row.goal === undefined ? '' : `  [${row.goal.met ? 'met' : 'MISSED'}: ${row.goal.text}]`;
  console.error(`  ${row.name}: ${format(row)}${row.note === undefined ? '' : `  (${row.note})`}${goal}`);
}

const format = ({ value, unit }: Row) =>
  `${value >= 1000 ? Math.round(value).toLocaleString('en') : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;

const atLeast = (value: number, goal: number, text: string) => ({ text: `at least ${text}`, met: value >= goal });
const atMost = (value: number, goal: number, text: string) => ({ text: `at most ${text}`, met: value <= goal });

function throughput(name: string, { bytesPerSecond, syncsPerSecond }: Throughput): void {
  const note = syncsPerSecond === undefined ? {} : { note: `${Math.round(syncsPerSecond)} syncs/s` };
  add({ name, value: bytesPerSecond / MiB, unit: 'MiB/s', ...note });
}

const cores = ({ serverCores, clientCores }: Flow) =>
  serverCores === undefined || clientCores === undefined
    ? ''
    : `, server ${serverCores.toFixed(2)} cores, client ${clientCores.toFixed(2)}`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean' },
      check: { type: 'boolean' },
      json: { type: 'string' },
      only: { type: 'string' },
    },
  });
  const scale = values.short === true ? 0.1 : 1;
  const bytes = 512 * MiB * scale;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'barnabas-bench-'));
  try {
    const measures = (part: string) => values.only === undefined || values.only === part;
    if (measures('log')) await log(directory, bytes, scale);
    if (measures('controller')) await controllers(directory, scale);
    if (measures('replication')) await replication(directory, bytes, scale);
    if (measures('groups')) await groups(directory, bytes, scale);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
  report(values.json ?? path.join(os.tmpdir(), 'bench.json'));
  return values.check === true && rows.some((row) => row.goal?.met === false) ? 1 : 0;
}

async function log(directory: string, bytes: number, scale: number): Promise<void> {
  console.error('ceilings of this machine, 64 KiB at a time');
  throughput('file append', await fileAppend(directory, bytes, false));
  throughput('file append, fdatasync each', await fileAppend(directory, bytes / 8, true));
  const level = await levelAlone(directory, bytes, false);
  throughput('LevelDB alone', level);
  throughput('LevelDB alone, synced', await levelAlone(directory, bytes / 4, true));
  const plain = await rawGrpc(bytes, false);
  throughput('grpc-js stream, 64 KiB echo', plain.echo);
  throughput('grpc-js stream, 64 KiB up, short answer', plain.upload);
  const wide = await rawGrpc(bytes, true);
  throughput('grpc-js stream, wide windows, 64 KiB echo', wide.echo);
  throughput('grpc-js stream, wide windows, 64 KiB up', wide.upload);

  await barnabas(directory, bytes, plain.echo.bytesPerSecond, wide.upload.bytesPerSecond, scale);
}

async function controllers(directory: string, scale: number): Promise<void> {
  console.error('three controllers, each in a process of its own, on one disk');
  const seconds = Math.max(1, 5 * scale);
  const syncs = await rawSyncs(directory, seconds);
  add({ name: 'small appends, fdatasync each', value: syncs, unit: 'syncs/s' });
  await groupCommit(directory, seconds, syncs);
  const subject = await ControllerSubject.start(directory);
  try {
    await subject.commits(256, seconds);
    for (const inFlight of IN_FLIGHT) {
      const rate = await subject.commits(inFlight, seconds);
      const note = `${(rate / syncs).toFixed(2)} × one sync each`;
      add({
        name: `metadata records committed over gRPC, ${inFlight} in flight`,
        value: rate,
        unit: 'records/s',
        note,
      });
    }
    const topicMs = await subject.createTopic(1000);
    add({ name: 'a topic of 1,000 partitions', value: topicMs, unit: 'ms', goal: atMost(topicMs, 2000, '2,000 ms') });
    const { medianMs, maxMs } = await subject.failOvers(Math.max(2, 10 * scale));
    add({
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
  add({ name: `snapshot of ${what}, written`, value: snapshot.writeMs, unit: 'ms', note: size });
  const memory = `image ${(snapshot.imageBytes / MiB).toFixed(0)} MiB, process at most ${(snapshot.peakBytes / MiB).toFixed(0)} MiB`;
  add({ name: `snapshot of ${what}, loaded`, value: snapshot.loadMs, unit: 'ms', note: memory });
}

async function groupCommit(directory: string, seconds: number, syncs: number): Promise<void> {
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
      add({ name, value: rate, unit: 'records/s', note, ...goal });
    }
  } finally {
    await leader.stop();
  }
}

async function replication(directory: string, bytes: number, scale: number): Promise<void> {
  console.error('three brokers, each in a process of its own, on the same cores and one disk');
  const raw = (await rawGrpc(bytes / 2, true)).upload.bytesPerSecond;
  const one = await replicas(directory, 1, bytes / 2, Math.max(2, 15 * scale));
  const three = await replicas(directory, 3, bytes / 2, Math.max(2, 15 * scale));
  for (const [factor, { produced, latency: histogram }] of [[1, one] as const, [3, three] as const]) {
    const name = `RF ${factor}, acks=all, 1 KiB records`;
    add({ name, value: produced.bytesPerSecond / MiB, unit: 'MiB/s', note: cores(produced).slice(2) });
    const at = (percentile: number) => histogram.getValueAtPercentile(percentile) / 1000;
    const rest = `p90 ${at(90).toFixed(2)}, p99 ${at(99).toFixed(2)}, max ${(histogram.maxValue / 1000).toFixed(2)}`;
    add({ name: `RF ${factor}, end to end at 1,000 records/s`, value: at(50), unit: 'ms (p50)', note: rest });
  }
  const ratio = three.produced.bytesPerSecond / one.produced.bytesPerSecond;
  add({ name: '  RF 3 against RF 1', value: ratio, unit: '×', goal: atLeast(ratio, 0.4, '0.4') });

  const speed = await catchUp(directory, bytes);
  const caughtUp = speed.bytesPerSecond / raw;
  const note = `${caughtUp.toFixed(2)} × a raw upload with wide windows; ${(speed.bytes / MiB).toFixed(0)} MiB missed`;
  add({ name: 'a follower that comes back catches up', value: speed.bytesPerSecond / MiB, unit: 'MiB/s', note });

  for (const { partitions, memoryBytes, cores: used, networkBytes } of await idlePartitions(directory, scale)) {
    const each = `${(memoryBytes / partitions / 1024).toFixed(1)} KiB a partition; ${used.toFixed(3)} cores, ${(networkBytes / 1024).toFixed(1)} KiB/s on the network`;
    add({
      name: `${partitions} idle partitions of RF 3, memory of three brokers`,
      value: memoryBytes / MiB,
      unit: 'MiB',
      note: each,
    });
  }
}

async function groups(directory: string, bytes: number, scale: number): Promise<void> {
  await readers(directory, bytes, scale);
  console.error('group coordinators in an all-in-one process, members in this one');
  const subject = await GroupSubject.start(directory);
  try {
    await coordinators(subject, scale);
  } finally {
    await subject.stop();
  }
}

async function readers(directory: string, bytes: number, scale: number): Promise<void> {
  console.error('a controller, a broker and a gateway, each in a process of its own, readers in this one');
  const raw = (await rawGrpc(bytes / 2, false)).echo.bytesPerSecond / 1024;
  const rounds = Math.max(2, Math.round(7 * scale));
  const figures = await groupReaders(directory, bytes / 2, [4, 8], rounds);
  const { alone, direct, members, subscribed, ratios } = figures;
  const against = (rate: number) => `${(rate / alone).toFixed(2)} × without a group, ${(rate / raw).toFixed(2)} × echo`;
  add({ name: '1 KiB records read without a group', value: alone, unit: 'records/s', note: against(alone) });
  for (const [count, rate] of [[1, direct] as const, ...members]) {
    const name = `  by a group of ${count}`;
    add({ name, value: rate, unit: 'records/s', note: against(rate) });
  }
  const ratio = median(ratios);
  const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)} in ${rounds} turns`;
  add({
    name: '  by Subscribe through a gateway',
    value: subscribed,
    unit: 'records/s',
    note: `${ratio.toFixed(2)} × a direct member (${spread}), ${(subscribed / raw).toFixed(2)} × echo`,
    goal: atLeast(ratio, 0.5, '0.5 × a direct member'),
  });
}

async function coordinators(subject: GroupSubject, scale: number): Promise<void> {
  const moved = await subject.rebalance(Math.max(10, 100 * scale), Math.max(100, 1000 * scale));
  const what = `${moved.members} members, ${moved.partitions.toLocaleString('en')} partitions`;
  add({ name: `${what}: all join at once`, value: moved.allJoinMs, unit: 'ms' });
  add({
    name: `${what}: one more joins`,
    value: moved.oneMoreMs,
    unit: 'ms',
    note: `until all have what they shall have; ${moved.oneMoreCpuMs.toFixed(0)} ms of the server's CPU`,
    goal: atMost(moved.oneMoreMs, 1000, '1,000 ms'),
  });
  add({ name: `${what}: one leaves`, value: moved.oneLessMs, unit: 'ms' });

  const many = await subject.manyGroups(Math.max(50, 1000 * scale), Math.max(1, 10 * scale));
  const groupCount = many.groups.toLocaleString('en');
  const memory = many.memoryBytes / MiB;
  const each = `${(many.memoryBytes / many.groups / 1024).toFixed(1)} KiB a group, a waiting call each`;
  add({ name: `${groupCount} groups of one member, memory`, value: memory, unit: 'MiB', note: each });
  add({ name: `${groupCount} members waiting for news`, value: many.waitingCores, unit: 'cores' });
  const calls = [
    ['calls that do nothing', many.emptyCallsPerSecond, many.emptyCallMicros],
    ['heartbeats', many.heartbeatsPerSecond, many.heartbeatMicros],
    ['commits of one offset, fsync per write', many.commitsPerSecond, many.commitMicros],
  ] as const;
  for (const [name, perSecond, micros] of calls) {
    const against = `${(perSecond / many.emptyCallsPerSecond).toFixed(2)} × a call that does nothing`;
    add({ name, value: perSecond, unit: '/s', note: `${micros.toFixed(0)} µs of the server's CPU each; ${against}` });
  }
}

async function barnabas(
  directory: string,
  bytes: number,
  echo: number,
  wideUpload: number,
  scale: number,
): Promise<void> {
  console.error('Barnabas, all roles in one process');
  const subject = await Subject.start(directory);
  try {
    add({
      name: 'start to first acknowledged record',
      value: subject.firstAckMs,
      unit: 'ms',
      goal: atMost(subject.firstAckMs, 3000, '3,000 ms'),
    });
    await new Promise((resolve) => setTimeout(resolve, 5000 * scale));
    const idle = (subject.residentBytes() ?? 0) / MiB;
    add({ name: 'resident memory, idle', value: idle, unit: 'MiB', goal: atMost(idle * MiB, 150e6, '150 MB') });
    for (const fsync of [true, false]) await latency(subject, fsync, scale);

    // Compiled code and grown buffers are part of a server's normal state.
    const warm = await subject.produce({ acks: 'all', recordBytes: 1024, totalBytes: bytes / 8, fsync: true });
    await subject.dropTopic(warm.topic);
    for (const fsync of [true, false]) {
      for (const acks of ['all', 1] as const) {
        for (const recordBytes of [100, 1024, BATCH_RECORD_BYTES]) {
          const produced = await subject.produce({
            acks,
            recordBytes,
            totalBytes: recordBytes === 100 ? bytes / 2 : bytes,
            fsync,
          });
          const what = recordBytes === BATCH_RECORD_BYTES ? '64 KiB batches' : `${recordBytes} B`;
          const name = `produce ${what}, acks=${acks}, ${fsync ? 'fsync per write' : 'flush.messages relaxed'}`;
          const rate = produced.recordsPerSecond;
          const megabytes = produced.bytesPerSecond / MiB;
          if (recordBytes === 100) {
            const goal = acks === 1 ? { goal: atLeast(rate, 300_000, '300,000/s') } : {};
            add({
              name,
              value: rate,
              unit: 'records/s',
              note: `${megabytes.toFixed(1)} MiB/s${cores(produced)}`,
              ...goal,
            });
          } else {
            const ratio = produced.bytesPerSecond / echo;
            const toWide = (produced.bytesPerSecond / wideUpload).toFixed(2);
            add({ name, value: megabytes, unit: 'MiB/s', note: `${Math.round(rate)} records/s${cores(produced)}` });
            add({
              name: '  against a raw stream',
              value: ratio,
              unit: '× echo',
              note: `${toWide} × upload with wide windows`,
              goal: atLeast(ratio, 0.5, '0.5'),
            });
          }
          if (acks === 1) {
            const consumed = await subject.consume(produced.topic, produced.records);
            const faster = consumed.recordsPerSecond / rate;
            add({
              name: `  consume what was produced`,
              value: faster,
              unit: '× producer',
              note: `${Math.round(consumed.recordsPerSecond)} records/s, ${(consumed.bytesPerSecond / MiB).toFixed(1)} MiB/s${cores(consumed)}`,
              goal: atLeast(faster, 1, '1'),
            });
          }
          await subject.dropTopic(produced.topic);
        }
      }
    }
    const amplification = await subject.writeAmplification(bytes);
    if (amplification !== undefined) {
      add({
        name: 'write amplification',
        value: amplification,
        unit: '× bytes of records',
        goal: atMost(amplification, 2.2, '2.2'),
      });
    }
    add({ name: 'resident memory, loaded', value: (subject.residentBytes() ?? 0) / MiB, unit: 'MiB' });
  } finally {
    await subject.stop();
  }
}

async function latency(subject: Subject, fsync: boolean, scale: number): Promise<void> {
  const histogram = await subject.endToEnd(1000, Math.max(2, 15 * scale), fsync);
  const percentile = (at: number) => histogram.getValueAtPercentile(at) / 1000;
  add({
    name: `end to end at 1,000 records/s, acks=all, ${fsync ? 'fsync per write' : 'flush.messages relaxed'}`,
    value: percentile(50),
    unit: 'ms (p50)',
    note: `p90 ${percentile(90).toFixed(2)}, p99 ${percentile(99).toFixed(2)}, p99.9 ${percentile(99.9).toFixed(2)}, max ${(histogram.maxValue / 1000).toFixed(2)}`,
  });
}

function report(file: string): void {
  const table = new Table({ head: ['what', 'figure', 'note', 'goal'], style: { head: [], border: [] } });
  for (const row of rows) {
    table.push([
      row.name,
      format(row),
      row.note ?? '',
      row.goal === undefined ? '' : `${row.goal.met ? 'met' : 'MISSED'}: ${row.goal.text}`,
    ]);
  }
  console.log(table.toString());
  const machine = {
    node: process.version,
    cpu: os.cpus()[0]?.model,
    cores: os.cpus().length,
    memoryBytes: os.totalmem(),
  };
  fs.writeFileSync(file, `${JSON.stringify({ at: new Date().toISOString(), machine, rows }, null, 2)}\n`);
  console.log(`written to ${file}`);
}

void main().then((code) => {
  process.exitCode = code;
});
