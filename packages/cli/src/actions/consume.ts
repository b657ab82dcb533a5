/**
 * `barnabas consume TOPIC`: prints records until told to stop: by a count, by silence, by the end of
 * what is there, by Ctrl-C, or by a reader that goes away. All of these are successes.
 */
import type { BarnabasClient, Consumer, ConsumerBatch, Position, TopicPartition } from '@barnabas/client';
import type { Action, CommandContext } from '../command-context.js';
import { CliError, UsageError } from '../errors.js';
import type { ByteOutput } from '../terminal/byte-output.js';
import { FormatError, compileFormat, writeValueLine } from '../text/record-format.js';
import type { RecordWriter } from '../text/record-format.js';

interface ConsumeFlags {
  readonly fromBeginning?: boolean;
  readonly offset?: number;
  readonly partition?: number;
  readonly maxMessages?: number;
  readonly timeoutMs?: number;
  readonly exitAtEnd?: boolean;
  readonly format?: string;
  readonly group?: string;
  readonly groupInstanceId?: string;
  readonly isolationLevel: 'read_uncommitted' | 'read_committed';
}

export const consume: Action<ConsumeFlags> = async (context, [topic = ''], flags) => {
  const writer = recordWriter(context, flags.format);
  await context.withClient(
    async (client) => {
      const partitions = await partitionsOf(client, topic, flags.partition);
      if (flags.offset !== undefined && partitions.length > 1) {
        throw new UsageError(
          `--offset needs --partition: topic ${topic} has ${partitions.length} partitions, each with offsets of its own`,
        );
      }
      if (flags.groupInstanceId !== undefined && flags.group === undefined) {
        throw new UsageError('--group-instance-id goes with --group ID');
      }
      const { isolationLevel, group: groupId = '', groupInstanceId = '' } = flags;
      const consumer = client.consumer({ isolationLevel, autoOffsetReset: resetOf(flags), groupId, groupInstanceId });
      const ending = new Ending(context, consumer, flags.timeoutMs);
      try {
        const reading = { topic, partitions, flags, ending };
        if (flags.group === undefined) await print(context, consumer, writer, reading);
        else await printAsMember(context, consumer, writer, reading);
      } finally {
        ending.cancel();
        await consumer.close();
      }
    },
    { warnings: true },
  );
  return undefined;
};

interface Reading {
  readonly topic: string;
  readonly partitions: readonly number[];
  readonly flags: ConsumeFlags;
  readonly ending: Ending;
}

async function print(
  { output }: CommandContext,
  consumer: Consumer,
  writer: RecordWriter,
  { topic, partitions, flags, ending }: Reading,
): Promise<void> {
  const position = startPosition(flags);
  await consumer.assign(partitions.map((partition) => ({ topic, partition, position })));
  const unread = flags.exitAtEnd === true ? await UnreadPartitions.find(consumer, topic, partitions) : undefined;
  if (unread?.isEmpty() === true) return;
  const printer = new Printer(output, writer, flags.maxMessages);
  for await (const batch of consumer.batches()) {
    ending.postpone();
    printer.print(batch);
    unread?.read(batch);
    if (printer.isDone || unread?.isEmpty() === true) return;
    if (output.full) await output.drained();
  }
}

/**
 * As a member of a group, which commits what was handed out before: so a batch counts as read only when
 * standard output has taken all that is to be printed of it.
 */
async function printAsMember(
  { output, note }: CommandContext,
  consumer: Consumer,
  writer: RecordWriter,
  { topic, flags, ending }: Reading,
): Promise<void> {
  const say = (what: string) => (partitions: readonly TopicPartition[]) => note(`${what} ${namesOf(partitions)}`);
  consumer.subscribe(topic, { onAssigned: say('assigned'), onRevoked: say('revoked'), onLost: say('lost') });
  const printer = new Printer(output, writer, flags.maxMessages);
  for await (const batch of consumer.batches()) {
    ending.postpone();
    const printedTo = printer.print(batch);
    await output.flush();
    const isTaken = !output.closed.aborted;
    if (isTaken && !printer.isDone) continue;
    // The group goes on with the first record that nobody has seen.
    const { partition } = batch;
    const isOwned = consumer.assignment().some((one) => one.topic === batch.topic && one.partition === partition);
    if (isOwned) consumer.seek({ topic: batch.topic, partition }, isTaken ? printedTo : startOf(batch));
    return;
  }
}

function startOf(batch: ConsumerBatch): number {
  const [first] = batch;
  return first?.offset ?? batch.nextOffset;
}

function namesOf(partitions: readonly TopicPartition[]): string {
  return partitions.map(({ topic, partition }) => `${topic}-${partition}`).join(' ');
}

function recordWriter(context: CommandContext, format: string | undefined): RecordWriter {
  if (format === undefined) return context.json ? compileFormat('json') : writeValueLine;
  try {
    return compileFormat(format);
  } catch (error) {
    if (error instanceof FormatError) throw new UsageError(`--format: ${error.message}`);
    throw error;
  }
}

function startPosition(flags: ConsumeFlags): Position {
  if (flags.fromBeginning === true) return 'earliest';
  return flags.offset === undefined ? 'latest' : { offset: flags.offset };
}

/** An offset that was asked for and does not exist is an error; elsewhere reading goes on at the end it began from. */
function resetOf(flags: ConsumeFlags): 'earliest' | 'latest' | 'none' {
  if (flags.offset !== undefined) return 'none';
  return flags.fromBeginning === true ? 'earliest' : 'latest';
}

async function partitionsOf(
  client: BarnabasClient,
  topic: string,
  wanted: number | undefined,
): Promise<readonly number[]> {
  const [description] = await client.admin().describeTopics([topic]);
  const partitions = (description?.partitions ?? []).map(({ partition }) => partition);
  if (wanted === undefined) return partitions;
  if (partitions.includes(wanted)) return [wanted];
  throw new CliError(
    `topic ${topic} has no partition ${wanted}: choose one from 0 to ${partitions.length - 1}`,
    undefined,
    'UNKNOWN_TOPIC_OR_PARTITION',
  );
}

/** Prints records up to a count. What one turn of the event loop brings is written together. */
class Printer {
  #printed = 0;
  #pushScheduled = false;

  constructor(
    private readonly output: ByteOutput,
    private readonly writer: RecordWriter,
    private readonly max: number = Number.POSITIVE_INFINITY,
  ) {}

  get isDone(): boolean {
    return this.#printed >= this.max;
  }

  /** Returns the offset behind what it has printed. */
  print(batch: ConsumerBatch): number {
    let printedTo = batch.nextOffset;
    for (const record of batch) {
      if (this.isDone) {
        printedTo = record.offset;
        break;
      }
      this.writer(record, this.output, batch);
      this.#printed += 1;
    }
    this.#push();
    return printedTo;
  }

  #push(): void {
    if (this.#pushScheduled) return;
    this.#pushScheduled = true;
    setImmediate(() => {
      this.#pushScheduled = false;
      this.output.push();
    });
  }
}

/** Ends the consumer, and with it the loop over its batches, for a reason that does not come with a record. */
class Ending {
  readonly #end: () => void;
  readonly #signals: readonly AbortSignal[];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    { terminal, output }: CommandContext,
    consumer: Consumer,
    private readonly timeoutMs: number | undefined,
  ) {
    this.#end = () => void consumer.close().catch(() => {});
    this.#signals = [terminal.interrupted, output.closed];
    for (const signal of this.#signals) signal.addEventListener('abort', this.#end);
    if (this.#signals.some((signal) => signal.aborted)) this.#end();
    this.postpone();
  }

  /** Something came: the silence begins anew. */
  postpone(): void {
    if (this.timeoutMs === undefined) return;
    if (this.#timer === undefined) this.#timer = setTimeout(this.#end, this.timeoutMs);
    else this.#timer.refresh();
  }

  cancel(): void {
    clearTimeout(this.#timer);
    for (const signal of this.#signals) signal.removeEventListener('abort', this.#end);
  }
}

/** The partitions that have not been read up to where they ended when reading began. */
class UnreadPartitions {
  private constructor(private readonly ends: Map<number, number>) {}

  static async find(consumer: Consumer, topic: string, partitions: readonly number[]): Promise<UnreadPartitions> {
    const places = partitions.map((partition) => ({ topic, partition }));
    const ends = new Map<number, number>();
    for (const { partition, offset } of await consumer.endOffsets(places)) {
      const position = consumer.position({ topic, partition });
      if (position < offset) ends.set(partition, offset);
    }
    return new UnreadPartitions(ends);
  }

  isEmpty(): boolean {
    return this.ends.size === 0;
  }

  read({ partition, nextOffset }: ConsumerBatch): void {
    if (nextOffset >= (this.ends.get(partition) ?? 0)) this.ends.delete(partition);
  }
}
