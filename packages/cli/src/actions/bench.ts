/** `barnabas bench …`: measures, and prints a table or one JSON object. */
import type { BarnabasClient } from '@barnabas/client';
import type { Action, CommandContext } from '../command-context.js';
import { measureConsume } from '../bench/consume.js';
import { measureEndToEnd } from '../bench/end-to-end.js';
import type { Percentiles } from '../bench/percentiles.js';
import { measureProduce } from '../bench/produce.js';
import { hasCode } from '../errors.js';
import { formatTable } from '../terminal/table.js';
import { formatBytes } from '../text/quantities.js';
import { producerOptions } from './produce.js';
import type { ProducerFlags } from './produce.js';

interface TopicFlags {
  readonly topic: string;
}

interface ProduceFlags extends ProducerFlags, TopicFlags {
  readonly records: number;
  readonly recordSize: number;
  readonly partitions: number;
  readonly rate?: number;
}

export const benchProduce: Action<ProduceFlags> = async (context, _args, flags) => {
  const { topic, records, recordSize, rate } = flags;
  const result = await context.withClient(async (client) => {
    await ensureTopic(client, topic, flags.partitions);
    const producer = client.producer(producerOptions(flags));
    return measureProduce(producer, { topic, records, recordSize, rate, stop: context.terminal.interrupted });
  });
  printThroughput(context, result, result.latencyMs);
  return undefined;
};

interface ConsumeFlags extends TopicFlags {
  readonly records?: number;
}

export const benchConsume: Action<ConsumeFlags> = async (context, _args, { topic, records }) => {
  const result = await context.withClient(async (client) => {
    const [description] = await client.admin().describeTopics([topic]);
    const partitions = (description?.partitions ?? []).map(({ partition }) => partition);
    return measureConsume(client.consumer(), { topic, partitions, records, stop: context.terminal.interrupted });
  });
  printThroughput(context, result, undefined);
  return undefined;
};

interface EndToEndFlags extends ProducerFlags, TopicFlags {
  readonly recordSize: number;
  readonly partitions: number;
  readonly rate: number;
  readonly seconds: number;
}

export const benchEndToEnd: Action<EndToEndFlags> = async (context, _args, flags) => {
  const { topic, recordSize, rate, seconds } = flags;
  const result = await context.withClient(async (client) => {
    await ensureTopic(client, topic, flags.partitions);
    const [description] = await client.admin().describeTopics([topic]);
    // A record that lingers would measure nothing but linger.ms.
    const producer = client.producer(producerOptions({ ...flags, lingerMs: flags.lingerMs ?? 0 }));
    const partitions = (description?.partitions ?? []).map(({ partition }) => partition);
    const { interrupted } = context.terminal;
    return measureEndToEnd(producer, client.consumer(), {
      topic,
      partitions,
      recordSize,
      rate,
      seconds,
      stop: interrupted,
    });
  });
  if (context.json) context.output.json(result);
  else {
    context.output.line(`${result.records} records at ${rate} a second: from send to receipt, ms`);
    context.output.line(percentileTable(result.latencyMs));
  }
  return undefined;
};

interface Throughput {
  readonly records: number;
  readonly bytes: number;
  readonly elapsedMs: number;
}

function printThroughput(context: CommandContext, result: Throughput, latencyMs: Percentiles | undefined): void {
  const seconds = Math.max(result.elapsedMs, 1) / 1000;
  const recordsPerSecond = Math.round(result.records / seconds);
  const bytesPerSecond = Math.round(result.bytes / seconds);
  if (context.json) {
    context.output.json({ ...result, recordsPerSecond, bytesPerSecond });
    return;
  }
  const row = [
    result.records.toLocaleString('en-GB'),
    formatBytes(result.bytes),
    `${seconds.toFixed(2)} s`,
    recordsPerSecond.toLocaleString('en-GB'),
    formatBytes(bytesPerSecond),
  ];
  context.output.line(formatTable(['records', 'bytes', 'time', 'records/s', 'bytes/s'], [row]));
  if (latencyMs === undefined) return;
  context.output.line('');
  context.output.line('from send to acknowledgement, ms');
  context.output.line(percentileTable(latencyMs));
}

function percentileTable(latencyMs: Percentiles): string {
  const entries = Object.entries(latencyMs);
  return formatTable(
    entries.map(([name]) => name),
    [entries.map(([, value]) => value.toFixed(2))],
  );
}

async function ensureTopic(client: BarnabasClient, topic: string, partitions: number): Promise<void> {
  try {
    await client.admin().createTopics([{ name: topic, partitions }]);
  } catch (error) {
    if (!hasCode(error, 'TOPIC_ALREADY_EXISTS')) throw error;
  }
}
