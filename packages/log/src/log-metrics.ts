/** What all logs of a broker count together. */
import type { Metrics } from '@barnabas/common';

export interface LogMetrics {
  written(bytes: number, synced: boolean, tookMs: number): void;
  read(bytes: number, from: 'cache' | 'disk'): void;
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export function logMetrics(metrics: Metrics): LogMetrics {
  const written = metrics.counter({
    name: 'barnabas_log_written_bytes_total',
    help: 'Bytes of record batches written to partition logs.',
  });
  const read = metrics.counter({
    name: 'barnabas_log_read_bytes_total',
    help: 'Bytes of record batches read from partition logs, from memory or from disk.',
    labels: ['from'],
  });
  const seconds = metrics.histogram({
    name: 'barnabas_log_write_seconds',
    help: 'Time of one coalesced write to a partition log, with or without its sync.',
    labels: ['synced'],
    buckets: SECONDS,
  });
  return {
    written(bytes, synced, tookMs) {
      written.add(bytes);
      seconds.observe(tookMs / 1000, { synced: String(synced) });
    },
    read: (bytes, from) => read.add(bytes, { from }),
  };
}
