/** Latencies of many events in little memory, by HDR histogram: microseconds inside, milliseconds outside. */
import { build } from 'hdr-histogram-js';

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly mean: number;
}

const MICROSECONDS = 1000;
/** Longer latencies count as an hour. */
const HIGHEST_US = 3_600_000_000;

export class LatencyRecorder {
  readonly #histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_US,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });

  record(latencyMs: number): void {
    const microseconds = Math.round(latencyMs * MICROSECONDS);
    this.#histogram.recordValue(Math.min(Math.max(microseconds, 0), HIGHEST_US));
  }

  percentiles(): Percentiles {
    const at = (percentile: number) => this.#histogram.getValueAtPercentile(percentile) / MICROSECONDS;
    return {
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: this.#histogram.maxValue / MICROSECONDS,
      mean: this.#histogram.mean / MICROSECONDS,
    };
  }
}
