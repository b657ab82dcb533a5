/** Short ways to write the requests of tests, and streams whose messages can be awaited. */
import { deferred } from '@barnabas/common';
import { BatchBuilder, v1 } from '@barnabas/protocol';
import type { BarnabasError, ProducerState } from '@barnabas/protocol';
import type { MessageStream } from '@barnabas/rpc';

/** A batch of records with these values, as a producer sends it. */
export function batchOf(values: readonly (string | Buffer)[], producer?: ProducerState): Buffer {
  const builder = new BatchBuilder({ maxBytes: 16 * 1024 * 1024, maxBatchBytes: 16 * 1024 * 1024 });
  for (const value of values) {
    builder.tryAppend({ key: null, value: Buffer.from(value), headers: [], timestamp: Date.now() });
  }
  return builder.build(producer);
}

export function batchEntry(topic: string, batch: Buffer, partition: number | undefined = 0): v1.ProduceEntry {
  return { topic, partition, payload: { $case: 'batch', batch } };
}

export function recordsEntry(topic: string, values: readonly string[], partition = 0): v1.ProduceEntry {
  const records = values.map((value) => v1.Record.create({ value: Buffer.from(value) }));
  return { topic, partition, payload: { $case: 'records', records: { records } } };
}

export function produceRequest(entries: v1.ProduceEntry[], acks = v1.Acks.ALL, timeoutMs = 0): v1.ProduceRequest {
  return { acks, timeoutMs, entries };
}

export function subscribe(change: Partial<v1.FetchSubscribe> = {}): v1.FetchRequest {
  const subscribeTo = v1.FetchSubscribe.create({ subscriptionId: 1, topic: 'orders', maxWaitMs: 1, ...change });
  return { request: { $case: 'subscribe', subscribe: subscribeTo } };
}

export function credit(bytes: number): v1.FetchRequest {
  return { request: { $case: 'credit', credit: { bytes } } };
}

export function unsubscribe(subscriptionId: number): v1.FetchRequest {
  return { request: { $case: 'unsubscribe', unsubscribe: { subscriptionId } } };
}

export function errorCodeOf(error: v1.Error | undefined): string | undefined {
  return error === undefined ? undefined : v1.ErrorCode[error.code];
}

/** The client's end of a stream: everything that arrived, and a way to wait for more. */
export class Recorded<In, Out> {
  readonly messages: In[] = [];
  closed: { readonly error: BarnabasError | undefined } | undefined;
  #changed = deferred<void>();

  constructor(readonly stream: MessageStream<In, Out>) {
    stream.handle({
      onMessage: (message) => {
        this.messages.push(message);
        this.#notify();
      },
      onClose: (error) => {
        this.closed = { error };
        this.#notify();
      },
    });
  }

  /** Resolves with the first message that matches, present or future; rejects when the stream is over without one. */
  async find(matches: (message: In) => boolean): Promise<In> {
    for (;;) {
      const found = this.messages.find(matches);
      if (found !== undefined) return found;
      if (this.closed !== undefined) {
        throw this.closed.error ?? new Error(`the stream ended after ${JSON.stringify(this.messages)}`);
      }
      await this.#changed.promise;
    }
  }

  async until(condition: (messages: readonly In[]) => boolean): Promise<void> {
    while (!condition(this.messages)) {
      if (this.closed !== undefined) throw this.closed.error ?? new Error('the stream ended');
      await this.#changed.promise;
    }
  }

  async end(): Promise<BarnabasError | undefined> {
    while (this.closed === undefined) await this.#changed.promise;
    return this.closed.error;
  }

  #notify(): void {
    const changed = this.#changed;
    this.#changed = deferred<void>();
    changed.resolve();
  }
}

/** Waits, turn by turn of the event loop, until a condition holds. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`it never came to be: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
