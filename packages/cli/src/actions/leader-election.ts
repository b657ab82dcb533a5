/** `barnabas leader-election`. */
import { PartialFailureError } from '@barnabas/client';
import type { ElectedLeader, ElectionType, TopicSelection } from '@barnabas/client';
import type { Action } from '../command-context.js';
import { UsageError } from '../errors.js';
import { formatTable } from '../terminal/table.js';
import { count } from '../text/quantities.js';

interface ElectionFlags {
  readonly type: ElectionType;
  readonly topic?: string;
  readonly partition?: readonly number[];
  readonly all?: boolean;
}

export const electLeaders: Action<ElectionFlags> = async (context, _args, flags) => {
  const { type } = flags;
  const topics = selectionOf(flags);
  const { results, failure } = await context.withClient((client) =>
    outcomeOf(client.admin().electLeaders(type, topics === undefined ? {} : { topics })),
  );
  const elected = results.filter((result) => result.elected);
  if (context.json) context.output.json(results);
  else if (elected.length > 0) {
    const rows = elected.map(({ topic, partition, leader }) => [topic, String(partition), String(leader)]);
    context.output.line(formatTable(['topic', 'partition', 'leader'], rows));
  }
  if (failure !== undefined) throw failure;
  if (context.json) return undefined;
  const rest = results.length - elected.length;
  context.note(
    elected.length === 0
      ? `no election was needed: ${type === 'preferred' ? 'preferred leaders lead' : 'there are leaders'}`
      : `${count(elected.length, 'leader')} elected${rest === 0 ? '' : `, ${count(rest, 'partition')} needed none`}`,
  );
  return undefined;
};

/** Where some failed, the others have been elected all the same, and are shown. */
async function outcomeOf(election: Promise<readonly ElectedLeader[]>) {
  try {
    return { results: await election, failure: undefined };
  } catch (error) {
    if (!(error instanceof PartialFailureError)) throw error;
    const results = error.results as readonly (ElectedLeader | Error)[];
    return { results: results.filter((one): one is ElectedLeader => !(one instanceof Error)), failure: error };
  }
}

/** Undefined: all partitions of the cluster. */
function selectionOf({ topic, partition, all }: ElectionFlags): readonly TopicSelection[] | undefined {
  if ((topic === undefined) === (all !== true)) {
    throw new UsageError('elect leaders of what? Give --topic NAME, with --partition N for some of it, or --all');
  }
  if (topic === undefined) {
    if (partition !== undefined) throw new UsageError('--partition goes with --topic NAME');
    return undefined;
  }
  return [partition === undefined ? { topic } : { topic, partitions: partition }];
}
