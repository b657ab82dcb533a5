/**
 * A broker as a gateway sees it: partitions in memory, produce and fetch streams, and hooks by which a
 * test makes it refuse, fall silent or go away. For this service's own tests.
 */
import {
  BarnabasError,
  decodeRecords,
  errorToProto,
  patchBatch,
  splitBatches,
  toBarnabasError,
  v1,
} from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import type { MessageStream, ServiceRegistration } from '@barnabas/rpc';
import { CLUSTER_ID } from './fake-controller.js';

type FetchStream = MessageStream<v1.FetchRequest, v1.FetchResponse>;

interface StoredBatch {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  readonly nextOffset: number;
}

class FakePartition {
  readonly batches: StoredBatch[] = [];
  logStartOffset = 0;

  get endOffset(): number {
    return this.batches.at(-1)?.nextOffset ?? this.logStartOffset;
  }

  append(bytes: Buffer): number {
    const baseOffset = this.endOffset;
    for (const { bytes: batch } of splitBatches(Buffer.from(bytes))) {
      const at = this.endOffset;
      const copy = Buffer.from(batch);
      patchBatch(copy, 0, { baseOffset: at, partitionLeaderEpoch: 0 });
      const last = decodeRecords(copy).at(-1)?.offset ?? at;
      this.batches.push({ bytes: copy, baseOffset: at, nextOffset: last + 1 });
    }
    return baseOffset;
  }
}

interface Reader {
  readonly stream: FetchStream;
  readonly subscriptions: Map<number, { topic: string; partition: number; offset: number; maxBytes: number }>;
  credit: number;
}

export class FakeBroker {
  readonly #partitions = new Map<string, FakePartition>();
  readonly #readers = new Set<Reader>();
  /** Answers of produce requests that are held back. */
  #held: (() => void)[] | undefined;
  /** What appends to a partition are refused with; asked once a request, since a real broker decides about all of it in one turn. */
  refuse: ((topic: string, partition: number) => BarnabasError | undefined) | undefined;
  /** Its log append time, as of a topic with LogAppendTime; -1 for none. */
  logAppendTimeMs = -1;
  /** Every subscription asked for, as `topic-partition@offset`. */
  readonly subscribed: string[] = [];
  produceRequests = 0;
  producerIds = 0;
  bytesSent = 0;

  constructor(readonly id: number) {}

  partition(topic: string, partition: number): FakePartition {
    const name = `${topic}-${partition}`;
    let known = this.#partitions.get(name);
    if (known === undefined) {
      known = new FakePartition();
      this.#partitions.set(name, known);
    }
    return known;
  }

  /** Values of all records of a partition, in order. */
  values(topic: string, partition: number): string[] {
    return this.partition(topic, partition).batches.flatMap(({ bytes }) =>
      decodeRecords(bytes).map(({ value }) => Buffer.from(value ?? []).toString()),
    );
  }

  append(topic: string, partition: number, batches: Buffer): void {
    this.partition(topic, partition).append(batches);
    this.#pushAll();
  }

  /** From now on produce requests are appended and not answered, until `release`. */
  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const answer of held) answer();
  }

  /** Ends every subscription of a partition, as a broker does that leads it no more. */
  endSubscriptions(error: BarnabasError): void {
    for (const reader of this.#readers) {
      for (const id of [...reader.subscriptions.keys()]) this.#end(reader, id, error);
    }
  }

  readonly services: readonly ServiceRegistration[] = [
    service(v1.MetadataServiceDefinition, {
      getMetadata: async () => ({ clusterId: CLUSTER_ID, controllerId: 1, brokers: [], topics: [], metadataOffset: 0 }),
      describeCluster: unserved,
      watchMetadata: (_request, stream) => {
        stream.handle({ onMessage() {}, onClose() {} });
        stream.end(new BarnabasError('UNSUPPORTED_VERSION', 'no watch'));
      },
    }),
    service(v1.AdminServiceDefinition, {
      ...refuseAll(v1.AdminServiceDefinition),
      describeConfigs: async ({ resources }) => ({
        results: resources.map((resource) => ({
          resource,
          entries: [
            { key: 'node.id', value: `${this.id}`, source: 4, readOnly: true, sensitive: false, documentation: '' },
          ],
          error: undefined,
        })),
      }),
    }),
    service(v1.LogServiceDefinition, {
      produce: async (request) => this.#produce(request),
      produceStream: (stream) => {
        stream.handle({
          onMessage: ({ correlationId, request }) => {
            this.produceRequests += 1;
            if (request === undefined) return;
            const response = this.#produce(request);
            const answer = () => void stream.write({ correlationId, response, error: undefined, more: false });
            if (request.acks === v1.Acks.NONE) return;
            if (this.#held === undefined) answer();
            else this.#held.push(answer);
          },
          onEnd: () => stream.end(),
          onClose() {},
        });
      },
      fetch: (stream) => this.#fetch(stream),
      consume: (_request, stream) => {
        stream.handle({ onMessage() {}, onClose() {} });
        stream.end(new BarnabasError('UNSUPPORTED_VERSION', 'gateways fetch'));
      },
      listOffsets: async ({ entries }) => ({ results: entries.map((entry) => this.#offset(entry)) }),
      initProducerId: async () => ({ producerId: this.id * 1000 + this.producerIds++, producerEpoch: 0 }),
      deleteRecords: async ({ entries }) => ({
        results: entries.map(({ topic, partition, beforeOffset }) => {
          const log = this.partition(topic, partition);
          log.logStartOffset = beforeOffset < 0 ? log.endOffset : beforeOffset;
          return { topic, partition, logStartOffset: log.logStartOffset, error: undefined };
        }),
      }),
    }),
  ];

  #produce({ entries }: v1.ProduceRequest): v1.ProduceResponse {
    const refusals = new Map<string, BarnabasError | undefined>();
    const refusalOf = (topic: string, partition: number) => {
      const name = `${topic}-${partition}`;
      if (!refusals.has(name)) refusals.set(name, this.refuse?.(topic, partition));
      return refusals.get(name);
    };
    const results = entries.map((entry, index): v1.ProduceResult => {
      const { topic, partition = -1, payload } = entry;
      const { logAppendTimeMs } = this;
      const result = { entry: index, topic, partition, logAppendTimeMs, recordIndexes: [] };
      try {
        const refusal = refusalOf(topic, partition);
        if (refusal !== undefined) throw refusal;
        if (payload?.$case !== 'batch') throw new BarnabasError('INVALID_REQUEST', 'gateways send batches');
        const baseOffset = this.partition(topic, partition).append(payload.batch);
        return { ...result, baseOffset, logStartOffset: 0, error: undefined };
      } catch (error) {
        return { ...result, baseOffset: -1, logStartOffset: -1, error: errorToProto(toBarnabasError(error)) };
      }
    });
    this.#pushAll();
    return { results };
  }

  #fetch(stream: FetchStream): void {
    const reader: Reader = { stream, subscriptions: new Map(), credit: 0 };
    this.#readers.add(reader);
    stream.handle({
      onMessage: ({ request }) => {
        if (request?.$case === 'subscribe') this.#subscribe(reader, request.subscribe);
        if (request?.$case === 'unsubscribe') this.#end(reader, request.unsubscribe.subscriptionId, undefined);
        if (request?.$case === 'credit') reader.credit += request.credit.bytes;
        this.#push(reader);
      },
      onDrain: () => this.#push(reader),
      onClose: () => this.#readers.delete(reader),
    });
  }

  #subscribe(reader: Reader, { subscriptionId, topic, partition, offset, maxBytes }: v1.FetchSubscribe): void {
    this.subscribed.push(`${topic}-${partition}@${offset}`);
    const log = this.partition(topic, partition);
    reader.subscriptions.set(subscriptionId, { topic, partition, offset, maxBytes });
    if (offset > log.endOffset || offset < log.logStartOffset) {
      this.#end(reader, subscriptionId, new BarnabasError('OFFSET_OUT_OF_RANGE', `offset ${offset} is not there`));
      return;
    }
    reader.stream.write(this.#state(subscriptionId, log, Buffer.alloc(0), offset));
  }

  #end(reader: Reader, subscriptionId: number, error: BarnabasError | undefined): void {
    if (!reader.subscriptions.delete(subscriptionId)) return;
    const message = this.#state(subscriptionId, new FakePartition(), Buffer.alloc(0), -1);
    reader.stream.write({ ...message, ended: true, error: error === undefined ? undefined : errorToProto(error) });
  }

  #pushAll(): void {
    for (const reader of this.#readers) this.#push(reader);
  }

  #push(reader: Reader): void {
    for (const [id, subscription] of reader.subscriptions) {
      const log = this.partition(subscription.topic, subscription.partition);
      for (const batch of log.batches) {
        if (batch.nextOffset <= subscription.offset) continue;
        if (reader.credit <= 0) return;
        reader.credit -= batch.bytes.length;
        this.bytesSent += batch.bytes.length;
        subscription.offset = batch.nextOffset;
        reader.stream.write(this.#state(id, log, batch.bytes, batch.nextOffset));
      }
    }
  }

  #state(subscriptionId: number, log: FakePartition, batches: Buffer, nextOffset: number): v1.FetchResponse {
    return {
      subscriptionId,
      batches,
      highWatermark: log.endOffset,
      logStartOffset: log.logStartOffset,
      lastStableOffset: log.endOffset,
      leaderEpoch: 0,
      nextOffset,
      ended: false,
      error: undefined,
      diverging: undefined,
    };
  }

  #offset({ topic, partition, spec }: v1.ListOffsetsEntry): v1.ListOffsetsResult {
    const log = this.partition(topic, partition);
    const found = this.#find(log, spec);
    return { topic, partition, offset: found, timestampMs: -1, leaderEpoch: 0, error: undefined };
  }

  #find(log: FakePartition, spec: v1.ListOffsetsEntry['spec']): number {
    switch (spec?.$case) {
      case 'earliest':
        return log.logStartOffset;
      case 'timestampMs': {
        const { timestampMs } = spec;
        const records = log.batches.flatMap(({ bytes }) => decodeRecords(bytes));
        return records.find(({ timestamp }) => timestamp >= timestampMs)?.offset ?? -1;
      }
      case 'atOffset': {
        const at = Math.max(spec.atOffset, log.logStartOffset);
        return at < log.endOffset ? at : -1;
      }
      case 'latest':
      case 'maxTimestamp':
      case undefined:
        return log.endOffset;
    }
  }
}

async function unserved(): Promise<never> {
  throw new BarnabasError('UNSUPPORTED_VERSION', 'the fake broker does not do this');
}
