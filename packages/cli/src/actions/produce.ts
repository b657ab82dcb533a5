/**
 * `barnabas produce TOPIC`: each line of standard input becomes a record, byte for byte.
 *
 * Succeeds only if every line that was read has been acknowledged. After the first failure nothing
 * more is read; what is on its way is waited for, so that the counts in the message are true.
 */
import type { Producer } from '@barnabas/client';
import type { CompressionType } from '@barnabas/protocol';
import type { Action, CommandContext } from '../command-context.js';
import { CliError, EXIT_INTERRUPTED, EXIT_OK, explain } from '../errors.js';
import { startProgress } from '../terminal/progress.js';
import { count, formatRate } from '../text/quantities.js';
import { LineSplitter, LineTooLongError } from '../text/line-splitter.js';

export interface ProducerFlags {
  readonly acks: 'all' | 1 | 0;
  readonly compression: CompressionType;
  readonly lingerMs?: number;
  readonly batchSize: number;
  readonly maxRequestSize: number;
  readonly bufferMemory: number;
  readonly idempotence: boolean;
}

interface ProduceFlags extends ProducerFlags {
  readonly partition?: number;
  readonly keySeparator?: string;
}

/** How long a topic may take to appear, where the cluster creates it when it is asked for. */
const TOPIC_TIMEOUT_MS = 3_000;

/** Options of the producer from the flags of a command. */
export function producerOptions(flags: ProducerFlags) {
  return {
    acks: flags.acks,
    compressionType: flags.compression,
    batchSize: flags.batchSize,
    maxRequestSize: flags.maxRequestSize,
    bufferMemory: flags.bufferMemory,
    ...(flags.lingerMs === undefined ? {} : { lingerMs: flags.lingerMs }),
    ...(flags.idempotence ? {} : { enableIdempotence: false }),
  };
}

export const produce: Action<ProduceFlags> = async (context, [topic = ''], flags) => {
  if (flags.keySeparator === '') throw new CliError('--key-separator must not be empty');
  return context.withClient(
    async (client) => {
      // Asked here, where a mistyped name can be told at once; the producer itself would wait for max.block.ms.
      await client.router.view.ensureTopic(topic, { timeoutMs: TOPIC_TIMEOUT_MS, allowAutoTopicCreation: true });
      const producer = client.producer(producerOptions(flags));
      const delivery = new Delivery(producer);
      const toRecord = recordMaker(topic, flags);
      const progress = await startProgress(context.terminal, () => delivery.counts);
      const started = performance.now();
      try {
        await readLines(context, delivery, toRecord, flags.maxRequestSize);
        await producer.flush();
      } finally {
        progress.stop();
        // Whatever ended the reading: what was sent is waited for and counted.
        await producer.close().catch((error: unknown) => delivery.fail(error));
      }
      return summarise(context, delivery, performance.now() - started);
    },
    { warnings: true },
  );
};

type OutgoingRecord = Parameters<Producer['send']>[0];

/** Sends records, and counts what became of them. */
class Delivery {
  #sent = 0;
  #bytes = 0;
  #acknowledged = 0;
  #failure: unknown;
  #hasFailed = false;

  constructor(private readonly producer: Producer) {}

  get counts() {
    return { sent: this.#sent, acknowledged: this.#acknowledged, bytes: this.#bytes };
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  get failure(): unknown {
    return this.#failure;
  }

  get writable(): boolean {
    return this.producer.writable;
  }

  drained(): Promise<void> {
    return this.producer.drained();
  }

  send(record: OutgoingRecord, bytes: number): void {
    this.#sent += 1;
    this.#bytes += bytes;
    // One pair of functions for all records, not one for each.
    this.producer.send(record).then(this.#onAcknowledged, this.fail);
  }

  readonly #onAcknowledged = (): void => {
    this.#acknowledged += 1;
  };

  /** Keeps the first failure: later ones are usually its consequences. */
  readonly fail = (error: unknown): void => {
    if (!this.#hasFailed) this.#failure = error;
    this.#hasFailed = true;
  };
}

type RecordMaker = (line: Buffer, lineNumber: number) => OutgoingRecord;

function recordMaker(topic: string, { partition, keySeparator }: ProduceFlags): RecordMaker {
  const split = keySeparator === undefined ? undefined : keySplitter(keySeparator);
  return (line, lineNumber) => {
    const at = split?.(line, lineNumber);
    const key = at === undefined ? null : line.subarray(0, at.keyEnd);
    const value = at === undefined ? line : line.subarray(at.valueStart);
    // Written out: a spread costs more here than everything else that is done for a line.
    return partition === undefined ? { topic, key, value } : { topic, partition, key, value };
  };
}

function keySplitter(keySeparator: string) {
  const separator = Buffer.from(keySeparator);
  return (line: Buffer, lineNumber: number) => {
    const keyEnd = line.indexOf(separator);
    if (keyEnd !== -1) return { keyEnd, valueStart: keyEnd + separator.length };
    throw new CliError(
      `line ${lineNumber} has no key separator ${JSON.stringify(keySeparator)}: correct the line, or leave out --key-separator`,
    );
  };
}

async function readLines(
  { terminal }: CommandContext,
  delivery: Delivery,
  toRecord: RecordMaker,
  maxLineBytes: number,
): Promise<void> {
  const splitter = new LineSplitter(maxLineBytes);
  const { stdin, interrupted } = terminal;
  const stopReading = () => stdin.destroy();
  interrupted.addEventListener('abort', stopReading);
  try {
    for await (const chunk of stdin as AsyncIterable<Buffer>) {
      for (const line of splitter.push(chunk)) {
        delivery.send(toRecord(line, splitter.lines), line.length + 1);
        if (!delivery.writable) await delivery.drained();
      }
      if (delivery.hasFailed) return;
    }
    const last = splitter.end();
    if (last !== undefined) delivery.send(toRecord(last, splitter.lines), last.length);
  } catch (error) {
    // Destroying standard input is how an interruption ends the loop.
    if (!interrupted.aborted) delivery.fail(explainLine(error));
  } finally {
    interrupted.removeEventListener('abort', stopReading);
  }
}

function explainLine(error: unknown): unknown {
  if (!(error instanceof LineTooLongError)) return error;
  return new CliError(
    `${error.message}: raise --max-request-size and the topic's max.message.bytes`,
    1,
    'MESSAGE_TOO_LARGE',
  );
}

function summarise(context: CommandContext, delivery: Delivery, elapsedMs: number): number {
  const { sent, acknowledged, bytes } = delivery.counts;
  if (delivery.hasFailed) {
    const { text, code } = explain(delivery.failure, context.bootstrap.join(','));
    throw new CliError(`${text} (${acknowledged} of ${sent} records were acknowledged)`, 1, code);
  }
  const interrupted = context.terminal.interrupted.aborted;
  if (context.json) {
    context.output.json({ records: acknowledged, bytes, elapsedMs: Math.round(elapsedMs), interrupted });
  } else {
    const rate = formatRate(acknowledged, bytes, elapsedMs);
    context.note(
      `${count(acknowledged, 'record')} acknowledged${interrupted ? ' before the interruption' : ''}, ${rate}`,
    );
  }
  return interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}
