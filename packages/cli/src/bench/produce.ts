/** How fast records go in, and how long each waits for its acknowledgement. */
import { randomFillSync } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Producer } from '@barnabas/client';
import { LatencyRecorder } from './percentiles.js';
import type { Percentiles } from './percentiles.js';

export interface ProduceMeasurement {
  readonly records: number;
  readonly bytes: number;
  readonly elapsedMs: number;
  readonly latencyMs: Percentiles;
}

export interface ProducePlan {
  readonly topic: string;
  readonly records: number;
  readonly recordSize: number;
  /** Records a second at most. */
  readonly rate: number | undefined;
  readonly stop: AbortSignal;
}

/** One latency in so many records is measured: a closure for each record would be measured with it. */
const SAMPLE_EVERY = 100;
/** Distinct values, so that compression has as little to find as in real data that was compressed before. */
const DISTINCT_VALUES = 64;

/** Rejects with the first record's failure. */
export async function measureProduce(producer: Producer, plan: ProducePlan): Promise<ProduceMeasurement> {
  const { topic, records, recordSize, rate, stop } = plan;
  const values = Array.from({ length: DISTINCT_VALUES }, () => randomFillSync(Buffer.allocUnsafe(recordSize)));
  const latencies = new LatencyRecorder();
  const outcome = new Outcome();
  const started = performance.now();
  let sent = 0;
  for (; sent < records && !stop.aborted && outcome.failure === undefined; sent++) {
    if (rate !== undefined) await pace(started, sent, rate);
    const promise = producer.send({ topic, value: values[sent % DISTINCT_VALUES] ?? null });
    if (sent % SAMPLE_EVERY === 0) {
      const at = performance.now();
      promise.then(() => latencies.record(performance.now() - at), outcome.fail);
    } else promise.then(undefined, outcome.fail);
    if (!producer.writable) await producer.drained();
  }
  await producer.flush();
  if (outcome.failure !== undefined) throw outcome.failure;
  const elapsedMs = performance.now() - started;
  return { records: sent, bytes: sent * recordSize, elapsedMs, latencyMs: latencies.percentiles() };
}

class Outcome {
  failure: Error | undefined;

  readonly fail = (error: unknown): void => {
    this.failure ??= error instanceof Error ? error : new Error(String(error));
  };
}

async function pace(started: number, sent: number, rate: number): Promise<void> {
  const aheadMs = started + (sent / rate) * 1000 - performance.now();
  if (aheadMs >= 1) await sleep(aheadMs);
}
