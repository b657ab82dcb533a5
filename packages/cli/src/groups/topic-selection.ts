/** Topics and partitions that a command line names: `t`, or `t:0,2`. */
import type { Admin } from '@barnabas/client';
import { InvalidArgumentError } from 'commander';
import { CliError } from '../errors.js';

export interface SelectedTopic {
  readonly topic: string;
  /** Undefined: all of them. */
  readonly partitions: readonly number[] | undefined;
}

export interface NamedPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Gathers values of an option that may be given several times. */
export function gatherTopics(text: string, before: readonly SelectedTopic[] | undefined): readonly SelectedTopic[] {
  const [topic = '', list, ...rest] = text.split(':');
  const numbers = list?.split(',').map((part) => (/^\d{1,10}$/.test(part.trim()) ? Number(part) : Number.NaN));
  const isSound = numbers?.every((number) => number < 2 ** 31) ?? true;
  if (topic === '' || rest.length > 0 || !isSound) {
    throw new InvalidArgumentError('Must be a topic, or a topic with partitions, as in clicks:0,2.');
  }
  return [...(before ?? []), { topic, partitions: numbers }];
}

/** Each once. Throws for a topic or a partition that does not exist. */
export async function partitionsOf(
  admin: Admin,
  selected: readonly SelectedTopic[],
): Promise<readonly NamedPartition[]> {
  const names = [...new Set(selected.map(({ topic }) => topic))];
  const counts = new Map((await admin.describeTopics(names)).map(({ name, partitions }) => [name, partitions.length]));
  const found = new Map<string, NamedPartition>();
  for (const { topic, partitions } of selected) {
    const all = counts.get(topic) ?? 0;
    for (const partition of partitions ?? Array.from({ length: all }, (_, index) => index)) {
      if (partition >= all) throw noSuchPartition(topic, partition, all);
      found.set(`${topic}-${partition}`, { topic, partition });
    }
  }
  return [...found.values()];
}

function noSuchPartition(topic: string, partition: number, all: number): CliError {
  const text = `topic ${topic} has no partition ${partition}: choose from 0 to ${all - 1}`;
  return new CliError(text, undefined, 'UNKNOWN_TOPIC_OR_PARTITION');
}
