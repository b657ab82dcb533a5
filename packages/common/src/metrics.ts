/**
 * The metrics port. Names are Prometheus style with the unit last (`barnabas_produce_bytes_total`);
 * label names are fixed when a metric is made. Hot paths count once a batch, never once a record.
 */
export type Labels = Readonly<Record<string, string | number>>;

export interface Counter {
  add(amount: number, labels?: Labels): void;
}

export interface Gauge {
  set(value: number, labels?: Labels): void;
}

export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

export interface Metrics {
  /** Asking twice for one name returns the same metric, so that roles in one process can share it. */
  counter(options: MetricOptions): Counter;
  gauge(options: MetricOptions): Gauge;
  /** A gauge read at scrape time. */
  sampled(options: MetricOptions, read: () => number): void;
  histogram(options: MetricOptions & { readonly buckets: readonly number[] }): Histogram;
}

export const noMetrics: Metrics = {
  counter: () => ({ add() {} }),
  gauge: () => ({ set() {} }),
  sampled() {},
  histogram: () => ({ observe() {} }),
};
