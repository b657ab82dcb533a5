/** Metrics that a test can read: totals of counters over all labels, and sampled gauges. */
import { noMetrics } from '@barnabas/common';
import type { MetricOptions, Metrics } from '@barnabas/common';

export class CountedMetrics implements Metrics {
  readonly #totals = new Map<string, number>();
  readonly #samples = new Map<string, () => number>();

  gauge = noMetrics.gauge;
  histogram = noMetrics.histogram;

  counter({ name }: MetricOptions) {
    return { add: (amount: number) => void this.#totals.set(name, this.total(name) + amount) };
  }

  sampled({ name }: MetricOptions, read: () => number): void {
    this.#samples.set(name, read);
  }

  total(name: string): number {
    return this.#totals.get(name) ?? 0;
  }

  sample(name: string): number {
    const read = this.#samples.get(name);
    if (read === undefined) throw new Error(`nothing is sampled as ${name}`);
    return read();
  }
}
