/** The metrics port over prom-client. One registry serves all roles of a process. */
import * as prometheus from 'prom-client';
import type { MetricOptions, Metrics } from '../metrics.js';

export class PrometheusMetrics implements Metrics {
  readonly #registry = new prometheus.Registry();

  constructor(options: { readonly processMetrics: boolean }) {
    if (options.processMetrics) prometheus.collectDefaultMetrics({ register: this.#registry });
  }

  counter(options: MetricOptions) {
    const counter = this.#once(options.name, () => new prometheus.Counter(this.#config(options)));
    return { add: (amount: number, labels = {}) => counter.inc(labels, amount) };
  }

  gauge(options: MetricOptions) {
    const gauge = this.#once(options.name, () => new prometheus.Gauge(this.#config(options)));
    return { set: (value: number, labels = {}) => gauge.set(labels, value) };
  }

  sampled(options: MetricOptions, read: () => number): void {
    this.#registry.removeSingleMetric(options.name);
    new prometheus.Gauge({
      ...this.#config(options),
      collect() {
        this.set(read());
      },
    });
  }

  histogram(options: MetricOptions & { readonly buckets: readonly number[] }) {
    const config = { ...this.#config(options), buckets: [...options.buckets] };
    const histogram = this.#once(options.name, () => new prometheus.Histogram(config));
    return { observe: (value: number, labels = {}) => histogram.observe(labels, value) };
  }

  /** The Prometheus text exposition of everything in this registry. */
  expose(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #config(options: MetricOptions) {
    return {
      name: options.name,
      help: options.help,
      labelNames: [...(options.labels ?? [])],
      registers: [this.#registry],
    };
  }

  #once<T extends prometheus.Metric>(name: string, make: () => T): T {
    return (this.#registry.getSingleMetric(name) as T | undefined) ?? make();
  }
}
