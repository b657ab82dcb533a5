/** Numbers of milliseconds, and what is told of them. */
export class Latencies {
  readonly #values: number[] = [];

  add(ms: number): void {
    this.#values.push(ms);
  }

  get count(): number {
    return this.#values.length;
  }

  /** The value that this share of all do not exceed; 0 of none. */
  percentile(share: number): number {
    const sorted = this.#values.toSorted((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  }

  toString(): string {
    const [least, p50, p90, p99, most] = [0, 0.5, 0.9, 0.99, 1].map((share) => Math.round(this.percentile(share)));
    return `min ${least}, p50 ${p50}, p90 ${p90}, p99 ${p99}, max ${most} ms (${this.count})`;
  }
}
