/**
 * How long a record takes from producer to consumer at a fixed rate.
 *
 * Each latency counts from the time at which its record was due, not from when it was sent: a stall
 * counts against every record that it held up ("coordinated omission" otherwise hides it).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, Producer } from '@barnabas/client';
import { LatencyRecorder } from './percentiles.js';
import type { Percentiles } from './percentiles.js';

export interface EndToEndMeasurement {
  readonly records: number;
  readonly rate: number;
  readonly latencyMs: Percentiles;
}

export interface EndToEndPlan {
  readonly topic: string;
  readonly partitions: readonly number[];
  /** At least 8: a value begins with its number. */
  readonly recordSize: number;
  readonly rate: number;
  readonly seconds: number;
  readonly stop: AbortSignal;
}

/** Records before measuring begins: connections are made and code is compiled meanwhile. */
const WARM_UP_MS = 1000;

export async function measureEndToEnd(
  producer: Producer,
  consumer: Consumer,
  plan: EndToEndPlan,
): Promise<EndToEndMeasurement> {
  const { topic, partitions, rate, stop } = plan;
  await consumer.assign(partitions.map((partition) => ({ topic, partition, position: 'latest' as const })));
  const warmUp = Math.ceil((rate * WARM_UP_MS) / 1000);
  const run = { started: performance.now(), warmUp, records: warmUp + rate * plan.seconds };
  const end = () => void consumer.close();
  stop.addEventListener('abort', end);
  try {
    const receiving = receive(consumer, plan, run);
    const failure = await Promise.race([send(producer, plan, run), receiving.then(() => undefined)]);
    if (failure !== undefined) throw failure;
    const latencies = await receiving;
    return { records: latencies.count, rate, latencyMs: latencies.recorder.percentiles() };
  } finally {
    stop.removeEventListener('abort', end);
    await consumer.close();
  }
}

interface Run {
  readonly started: number;
  /** The first so many are not measured. */
  readonly warmUp: number;
  readonly records: number;
}

/** Resolves to the first failure, if there was one. */
async function send(producer: Producer, plan: EndToEndPlan, { started, records }: Run): Promise<Error | undefined> {
  let failure: Error | undefined;
  const fail = (error: unknown) => {
    failure ??= error instanceof Error ? error : new Error(String(error));
  };
  for (let sent = 0; sent < records && failure === undefined && !plan.stop.aborted; ) {
    const due = Math.min(records, Math.floor(((performance.now() - started) / 1000) * plan.rate));
    for (; sent < due; sent++) {
      const value = Buffer.alloc(plan.recordSize);
      value.writeDoubleBE(sent);
      producer.send({ topic: plan.topic, value }).catch(fail);
    }
    await sleep(1);
  }
  await producer.flush();
  return failure;
}

async function receive(consumer: Consumer, plan: EndToEndPlan, run: Run) {
  const recorder = new LatencyRecorder();
  let count = 0;
  let received = 0;
  for await (const batch of consumer.batches()) {
    const now = performance.now();
    for (const { value } of batch) {
      if (value === null || value.length !== plan.recordSize) continue;
      const number = value.readDoubleBE();
      received += 1;
      if (number < run.warmUp) continue;
      count += 1;
      recorder.record(now - (run.started + (number / plan.rate) * 1000));
    }
    if (received >= run.records) break;
  }
  return { recorder, count };
}
