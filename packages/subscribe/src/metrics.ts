/** What Subscribe counts: once a message, never once a record. Labels are topics that exist. */
import type { Counter, Metrics } from '@barnabas/common';

export class SubscribeMetrics {
  readonly #metrics: Metrics;
  readonly #prefix: string;
  readonly #records: Counter;
  readonly #bytes: Counter;
  readonly #ended: Counter;

  /** `role`: a broker and a gateway in one process are counted apart. */
  constructor(metrics: Metrics, role: 'broker' | 'gateway') {
    this.#metrics = metrics;
    this.#prefix = role === 'gateway' ? 'barnabas_gateway_subscribe' : 'barnabas_subscribe';
    const counter = (name: string, help: string, label: string) =>
      metrics.counter({ name: `${this.#prefix}_${name}`, help, labels: [label] });
    this.#records = counter('pushed_records_total', 'Records pushed to members.', 'topic');
    this.#bytes = counter('pushed_bytes_total', 'Bytes of keys, values and headers pushed to members.', 'topic');
    this.#ended = counter('failed_streams_total', 'Subscribe streams that ended with an error, by error.', 'error');
  }

  pushed(topic: string, records: number, bytes: number): void {
    this.#records.add(records, { topic });
    this.#bytes.add(bytes, { topic });
  }

  failed(error: string): void {
    this.#ended.add(1, { error });
  }

  sample(read: { readonly streams: () => number; readonly unacknowledgedRecords: () => number }): void {
    const sampled = (name: string, help: string, value: () => number) =>
      this.#metrics.sampled({ name: `${this.#prefix}_${name}`, help }, value);
    sampled('streams', 'Subscribe streams open.', read.streams);
    sampled('unacknowledged_records', 'Records pushed to members and not acknowledged.', read.unacknowledgedRecords);
  }
}
