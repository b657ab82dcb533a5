/** The log: what this machine can do at best, and what an all-in-one process does with it. */
import { Subject } from './barnabas.js';
import { fileAppend, levelAlone, rawGrpc } from './ceilings.js';
import type { Throughput } from './ceilings.js';
import { MiB } from './measure.js';
import { atLeast, atMost } from './rows.js';
import type { Bench, Row, Rows } from './rows.js';
import { coresOf } from './workload.js';
import type { ProduceShape } from './workload.js';

/** With its batch header it makes a batch of 64 KiB. */
const BATCH_RECORD_BYTES = 64 * 1024 - 128;

/** Bytes a second of raw streams: one that echoes, and one up with wide windows. */
interface Ceilings {
  readonly echo: number;
  readonly wideUpload: number;
}

export async function benchLog(bench: Bench): Promise<void> {
  const { directory, bytes, rows } = bench;
  console.error('ceilings of this machine, 64 KiB at a time');
  throughput(rows, 'file append', await fileAppend(directory, bytes, false));
  throughput(rows, 'file append, fdatasync each', await fileAppend(directory, bytes / 8, true));
  const level = await levelAlone(directory, bytes, false);
  throughput(rows, 'LevelDB alone', level);
  throughput(rows, 'LevelDB alone, synced', await levelAlone(directory, bytes / 4, true));
  const plain = await rawGrpc(bytes, false);
  throughput(rows, 'grpc-js stream, 64 KiB echo', plain.echo);
  throughput(rows, 'grpc-js stream, 64 KiB up, short answer', plain.upload);
  const wide = await rawGrpc(bytes, true);
  throughput(rows, 'grpc-js stream, wide windows, 64 KiB echo', wide.echo);
  throughput(rows, 'grpc-js stream, wide windows, 64 KiB up', wide.upload);

  await barnabas(bench, { echo: plain.echo.bytesPerSecond, wideUpload: wide.upload.bytesPerSecond });
}

function throughput(rows: Rows, name: string, { bytesPerSecond, syncsPerSecond }: Throughput): void {
  const note = syncsPerSecond === undefined ? {} : { note: `${Math.round(syncsPerSecond)} syncs/s` };
  rows.add({ name, value: bytesPerSecond / MiB, unit: 'MiB/s', ...note });
}

async function barnabas(bench: Bench, ceilings: Ceilings): Promise<void> {
  const { rows, directory, bytes, scale } = bench;
  console.error('Barnabas, all roles in one process');
  const subject = await Subject.start(directory);
  try {
    rows.add({
      name: 'start to first acknowledged record',
      value: subject.firstAckMs,
      unit: 'ms',
      goal: atMost(subject.firstAckMs, 3000, '3,000 ms'),
    });
    await new Promise((resolve) => setTimeout(resolve, 5000 * scale));
    const idle = (subject.residentBytes() ?? 0) / MiB;
    rows.add({ name: 'resident memory, idle', value: idle, unit: 'MiB', goal: atMost(idle * MiB, 150e6, '150 MB') });
    for (const fsync of [true, false]) rows.add(await latency(subject, fsync, scale));

    // Compiled code and grown buffers are part of a server's normal state.
    const warm = await subject.produce({ acks: 'all', recordBytes: 1024, totalBytes: bytes / 8, fsync: true });
    await subject.dropTopic(warm.topic);
    for (const fsync of [true, false]) {
      for (const acks of ['all', 1] as const) {
        for (const recordBytes of [100, 1024, BATCH_RECORD_BYTES]) {
          const totalBytes = recordBytes === 100 ? bytes / 2 : bytes;
          await flow(bench, subject, { acks, recordBytes, totalBytes, fsync }, ceilings);
        }
      }
    }
    const amplification = await subject.writeAmplification(bytes);
    if (amplification !== undefined) {
      rows.add({
        name: 'write amplification',
        value: amplification,
        unit: '× bytes of records',
        goal: atMost(amplification, 2.2, '2.2'),
      });
    }
    rows.add({ name: 'resident memory, loaded', value: (subject.residentBytes() ?? 0) / MiB, unit: 'MiB' });
  } finally {
    await subject.stop();
  }
}

/** Produced, and with acks=1 consumed, too. */
async function flow({ rows }: Bench, subject: Subject, shape: ProduceShape, { echo, wideUpload }: Ceilings) {
  const { acks, recordBytes, fsync } = shape;
  const produced = await subject.produce(shape);
  const what = recordBytes === BATCH_RECORD_BYTES ? '64 KiB batches' : `${recordBytes} B`;
  const name = `produce ${what}, acks=${acks}, ${fsync ? 'fsync per write' : 'flush.messages relaxed'}`;
  const rate = produced.recordsPerSecond;
  const megabytes = produced.bytesPerSecond / MiB;
  if (recordBytes === 100) {
    const goal = acks === 1 ? { goal: atLeast(rate, 300_000, '300,000/s') } : {};
    const note = `${megabytes.toFixed(1)} MiB/s${coresOf(produced)}`;
    rows.add({ name, value: rate, unit: 'records/s', note, ...goal });
  } else {
    const ratio = produced.bytesPerSecond / echo;
    const toWide = (produced.bytesPerSecond / wideUpload).toFixed(2);
    rows.add({ name, value: megabytes, unit: 'MiB/s', note: `${Math.round(rate)} records/s${coresOf(produced)}` });
    rows.add({
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
    rows.add({
      name: '  consume what was produced',
      value: faster,
      unit: '× producer',
      note: `${Math.round(consumed.recordsPerSecond)} records/s, ${(consumed.bytesPerSecond / MiB).toFixed(1)} MiB/s${coresOf(consumed)}`,
      goal: atLeast(faster, 1, '1'),
    });
  }
  await subject.dropTopic(produced.topic);
}

async function latency(subject: Subject, fsync: boolean, scale: number): Promise<Row> {
  const histogram = await subject.endToEnd(1000, Math.max(2, 15 * scale), fsync);
  const percentile = (at: number) => histogram.getValueAtPercentile(at) / 1000;
  return {
    name: `end to end at 1,000 records/s, acks=all, ${fsync ? 'fsync per write' : 'flush.messages relaxed'}`,
    value: percentile(50),
    unit: 'ms (p50)',
    note: `p90 ${percentile(90).toFixed(2)}, p99 ${percentile(99).toFixed(2)}, p99.9 ${percentile(99.9).toFixed(2)}, max ${(histogram.maxValue / 1000).toFixed(2)}`,
  };
}
