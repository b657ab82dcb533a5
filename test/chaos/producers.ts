/**
 * The writers of a chaos run. Each goes on sending through every fault, at a steady rate, until it is
 * told to stop, and then waits for what it has sent.
 */
import { BarnabasClient } from '@barnabas/client';
import { BarnabasError, errorFromProto, v1 } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import type { Connector, MessageStream } from '@barnabas/rpc';
import type { Send } from './history.js';
import type { Recorder } from './recorder.js';
import { Pace } from './pace.js';
import { encodeValue } from './values.js';

export interface WriterOptions {
  readonly name: string;
  readonly recorder: Recorder;
  readonly bootstrap: readonly string[];
  readonly topic: string;
  readonly recordsPerSecond: number;
}

export interface Writer {
  run(): Promise<void>;
  /** No new records. `run` resolves when each one sent has its outcome. */
  stop(): void;
}

const REQUEST_TIMEOUT_MS = 10_000;
const DELIVERY_TIMEOUT_MS = 120_000;

/** The TypeScript client, straight to the leaders, many records on their way. */
export class DirectWriter implements Writer {
  readonly #pace: Pace;

  constructor(
    private readonly options: WriterOptions,
    private readonly isIdempotent: boolean,
  ) {
    this.#pace = new Pace(options.recordsPerSecond);
  }

  stop(): void {
    this.#pace.stop();
  }

  async run(): Promise<void> {
    const { bootstrap, name, recorder, topic } = this.options;
    const client = new BarnabasClient({ bootstrap, clientId: name, requestTimeoutMs: REQUEST_TIMEOUT_MS });
    const producer = client.producer({
      acks: 'all',
      lingerMs: 2,
      enableIdempotence: this.isIdempotent,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
    });
    let partition = 0;
    while (this.#pace.isRunning) {
      for (let due = await this.#pace.next(); due > 0; due--) {
        partition = (partition + 1) % recorder.partitions;
        const send = recorder.send({ process: name, partition, mayDuplicate: !this.isIdempotent, isContiguous: true });
        producer.send({ topic, partition, value: encodeValue(send.values[0] ?? -1) }).then(
          ({ offset }) => recorder.acknowledge(send, offset),
          (error: unknown) => recorder.fail(send, error),
        );
      }
      if (!producer.writable) await producer.drained();
    }
    await producer.flush();
    await client.close();
  }
}

const RECORDS_PER_ENTRY = 3;
const THIN_TIMEOUT_MS = 60_000;

function thinRequest(topic: string, { partition, values }: Send): v1.ProduceRequest {
  const records = values.map((value) => v1.Record.create({ value: Buffer.from(encodeValue(value)) }));
  const entry = v1.ProduceEntry.create({ topic, partition, payload: { $case: 'records', records: { records } } });
  return v1.ProduceRequest.create({ entries: [entry], timeoutMs: THIN_TIMEOUT_MS });
}

/** Any language with gRPC: unary Produce through a gateway, one call after another. */
export class ThinWriter implements Writer {
  readonly #pace: Pace;
  #isRunning = true;

  constructor(private readonly options: WriterOptions) {
    this.#pace = new Pace(options.recordsPerSecond / RECORDS_PER_ENTRY);
  }

  stop(): void {
    this.#isRunning = false;
    this.#pace.stop();
  }

  async run(): Promise<void> {
    const { name, recorder, bootstrap, topic } = this.options;
    const connector = createConnector({ clientId: name });
    let lives = 1;
    for (let n = 0; this.#isRunning; n++) {
      const partition = n % recorder.partitions;
      const process = `${name}.${lives}`;
      const send = recorder.send({ process, partition, mayDuplicate: false, isContiguous: false }, RECORDS_PER_ENTRY);
      const address = bootstrap[lives % bootstrap.length] ?? '';
      try {
        const stub = connector.channel(address).client(v1.LogServiceDefinition);
        const { results } = await stub.produce(thinRequest(topic, send), { timeoutMs: THIN_TIMEOUT_MS + 5_000 });
        recorder.acknowledge(send, offsetOf(results[0]));
      } catch (error) {
        recorder.fail(send, error);
        lives++;
      }
      for (let due = 0; due === 0 && this.#isRunning; ) due = await this.#pace.next();
    }
    connector.close();
  }
}

function offsetOf(result: v1.ProduceResult | undefined): number {
  if (result === undefined) throw new BarnabasError('UNKNOWN_SERVER_ERROR', 'the answer has no result');
  if (result.error !== undefined) throw errorFromProto(result.error);
  return result.baseOffset;
}

const MAX_STREAM_IN_FLIGHT = 16;

/** Any language with gRPC: a pipelined ProduceStream through a gateway; another one when it breaks. */
export class ThinStreamWriter implements Writer {
  readonly #pace: Pace;
  readonly #connector: Connector;
  readonly #waiting = new Map<number, Send>();
  #stream: MessageStream<v1.ProduceStreamResponse, v1.ProduceStreamRequest> | undefined;
  #lives = 0;
  #nextId = 1;
  #wake: () => void = () => {};

  constructor(private readonly options: WriterOptions) {
    this.#pace = new Pace(options.recordsPerSecond / RECORDS_PER_ENTRY);
    this.#connector = createConnector({ clientId: options.name });
  }

  stop(): void {
    this.#pace.stop();
  }

  async run(): Promise<void> {
    const { name, recorder, topic } = this.options;
    let partition = 0;
    while (this.#pace.isRunning) {
      for (let due = await this.#pace.next(); due > 0 && this.#waiting.size < MAX_STREAM_IN_FLIGHT; due--) {
        partition = (partition + 1) % recorder.partitions;
        const stream = this.#stream ?? this.#open();
        const process = `${name}.${this.#lives}`;
        const send = recorder.send({ process, partition, mayDuplicate: false, isContiguous: false }, RECORDS_PER_ENTRY);
        const correlationId = this.#nextId++;
        this.#waiting.set(correlationId, send);
        stream.write({ correlationId, request: thinRequest(topic, send), answerEarly: false });
      }
    }
    const limit = setTimeout(() => this.#stream?.cancel(), THIN_TIMEOUT_MS + 5_000);
    while (this.#waiting.size > 0 && this.#stream !== undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    clearTimeout(limit);
    this.#stream?.end();
    this.#connector.close();
  }

  #open(): MessageStream<v1.ProduceStreamResponse, v1.ProduceStreamRequest> {
    const { bootstrap } = this.options;
    const address = bootstrap[++this.#lives % bootstrap.length] ?? '';
    const stream = this.#connector.channel(address).client(v1.LogServiceDefinition).produceStream();
    this.#stream = stream;
    stream.handle({
      onMessage: ({ correlationId, response, error }) => {
        const send = this.#waiting.get(correlationId);
        if (send === undefined) return;
        this.#waiting.delete(correlationId);
        this.#settle(send, () => {
          if (error !== undefined) throw errorFromProto(error);
          return offsetOf(response?.results[0]);
        });
        this.#wake();
      },
      onClose: (error) => {
        if (this.#stream !== stream) return;
        this.#stream = undefined;
        const lost = error ?? new BarnabasError('NETWORK_EXCEPTION', 'the stream has ended');
        for (const send of this.#waiting.values()) this.options.recorder.fail(send, lost);
        this.#waiting.clear();
        this.#wake();
      },
    });
    return stream;
  }

  #settle(send: Send, offset: () => number): void {
    const { recorder } = this.options;
    try {
      recorder.acknowledge(send, offset());
    } catch (error) {
      recorder.fail(send, error);
      // What was refused may have been appended all the same, behind what is sent from now on.
      const stream = this.#stream;
      this.#stream = undefined;
      for (const other of this.#waiting.values()) recorder.error(other.process, error);
      this.#waiting.clear();
      stream?.cancel();
    }
  }
}
