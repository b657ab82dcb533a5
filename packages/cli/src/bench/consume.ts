/** How fast records come out. Every record is decoded, as an application would. */
import type { Consumer } from '@barnabas/client';

export interface ConsumeMeasurement {
  readonly records: number;
  /** Of keys and values. */
  readonly bytes: number;
  readonly elapsedMs: number;
  /** From the start to the first record. */
  readonly firstRecordMs: number;
}

export interface ConsumePlan {
  readonly topic: string;
  readonly partitions: readonly number[];
  /** Undefined: all that are there at the start. */
  readonly records: number | undefined;
  readonly stop: AbortSignal;
}

export async function measureConsume(consumer: Consumer, plan: ConsumePlan): Promise<ConsumeMeasurement> {
  const places = plan.partitions.map((partition) => ({ topic: plan.topic, partition }));
  const wanted = Math.min(plan.records ?? Number.POSITIVE_INFINITY, await recordsThere(consumer, places));
  const stop = () => void consumer.close();
  plan.stop.addEventListener('abort', stop);
  const started = performance.now();
  let records = 0;
  let bytes = 0;
  let firstRecordMs = 0;
  try {
    await consumer.assign(places.map((place) => ({ ...place, position: 'earliest' as const })));
    if (wanted > 0) {
      for await (const batch of consumer.batches()) {
        if (records === 0) firstRecordMs = performance.now() - started;
        for (const { key, value } of batch) bytes += (key?.length ?? 0) + (value?.length ?? 0);
        records += batch.records.length;
        if (records >= wanted) break;
      }
    }
  } finally {
    plan.stop.removeEventListener('abort', stop);
  }
  const elapsedMs = performance.now() - started;
  await consumer.close();
  return { records, bytes, elapsedMs, firstRecordMs };
}

async function recordsThere(
  consumer: Consumer,
  places: readonly { readonly topic: string; readonly partition: number }[],
): Promise<number> {
  const [beginnings, ends] = await Promise.all([consumer.beginningOffsets(places), consumer.endOffsets(places)]);
  const sum = (offsets: readonly { readonly offset: number }[]) =>
    offsets.reduce((total, { offset }) => total + offset, 0);
  return sum(ends) - sum(beginnings);
}
