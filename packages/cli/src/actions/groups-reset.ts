/**
 * `barnabas groups reset-offsets`: what would change, and with --execute the change. Where offsets go is
 * decided by groups/reset-plan.ts. A group with members is refused: they would commit over it.
 */
import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import type { Admin, OffsetQuestion } from '@barnabas/client';
import type { Action, CommandContext } from '../command-context.js';
import { CliError, EXIT_FAILED, EXIT_OK, UsageError, hasCode } from '../errors.js';
import { formatOffsets, parseOffsets } from '../groups/reset-file.js';
import type { FileOffset } from '../groups/reset-file.js';
import { planOffset } from '../groups/reset-plan.js';
import type { PartitionFacts, PlannedOffset, Reset } from '../groups/reset-plan.js';
import { partitionsOf } from '../groups/topic-selection.js';
import type { NamedPartition, SelectedTopic } from '../groups/topic-selection.js';
import { formatTable } from '../terminal/table.js';
import { count } from '../text/quantities.js';
import { namedGroups } from './groups.js';
import type { GroupsFlags } from './groups.js';

interface ResetFlags extends GroupsFlags {
  readonly topic?: readonly SelectedTopic[];
  readonly allTopics?: boolean;
  readonly toEarliest?: boolean;
  readonly toLatest?: boolean;
  readonly toCurrent?: boolean;
  readonly toOffset?: number;
  readonly toDatetime?: number;
  readonly byDuration?: number;
  readonly shiftBy?: number;
  readonly fromFile?: string;
  readonly dryRun?: boolean;
  readonly execute?: boolean;
  readonly export?: boolean;
}

/** What each partition is reset by. */
interface Aim extends NamedPartition {
  readonly reset: Reset;
}

interface GroupPlan {
  readonly groupId: string;
  readonly offsets: readonly PlannedOffset[];
}

export const resetOffsets: Action<ResetFlags> = async (context, args, flags) => {
  if (flags.dryRun === true && flags.execute === true) throw new UsageError('give --dry-run or --execute, not both');
  const scenario = scenarioOf(flags);
  return context.withClient(async (client) => {
    const admin = client.admin();
    const ids = await namedGroups(admin, args, flags);
    const file = flags.fromFile === undefined ? undefined : await fileOffsets(context, flags.fromFile);
    // A mistake in the file is said at once; asked for its offset, the cluster would be waited for.
    if (file !== undefined)
      await partitionsOf(
        admin,
        file.map(({ topic, partition }) => ({ topic, partitions: [partition] })),
      );
    const strange = file?.find(({ groupId }) => (groupId === undefined ? ids.length > 1 : !ids.includes(groupId)));
    if (strange !== undefined) {
      const problem =
        strange.groupId === undefined
          ? 'a line names no group, and there are several'
          : `it has offsets of group ${strange.groupId}, which is not named`;
      throw new CliError(`${flags.fromFile}: ${problem}`);
    }
    const plans: GroupPlan[] = [];
    for (const groupId of ids) {
      await mustBeEmpty(admin, groupId);
      const committed = await committedOf(admin, groupId);
      const own = file?.filter((one) => (one.groupId ?? groupId) === groupId);
      const aims =
        own?.map(({ topic, partition, offset }): Aim => ({ topic, partition, reset: { to: 'offset', offset } })) ??
        (await scope(admin, groupId, committed, flags)).map((one): Aim => ({ ...one, reset: scenario.reset }));
      plans.push({ groupId, offsets: await plan(admin, aims, committed, scenario.timestamp) });
    }
    show(context, plans, flags);
    if (flags.execute !== true) {
      context.note('nothing was changed: this is what --execute would do');
      return EXIT_OK;
    }
    let failed = 0;
    for (const { groupId, offsets } of plans) {
      try {
        await admin.alterGroupOffsets(
          groupId,
          offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset })),
        );
      } catch (error) {
        if (plans.length === 1) throw error;
        failed += 1;
        context.note(`group ${groupId} was not reset: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (!context.json) context.note(`reset ${count(plans.length - failed, 'group')}`);
    return failed === 0 ? EXIT_OK : EXIT_FAILED;
  });
};

interface Scenario {
  readonly reset: Reset;
  /** Where records are searched by time. */
  readonly timestamp: number | undefined;
}

function scenarioOf(flags: ResetFlags): Scenario {
  const at = (reset: Reset, timestamp?: number): Scenario => ({ reset, timestamp });
  const { toOffset, toDatetime, byDuration, shiftBy } = flags;
  const given = [
    flags.toEarliest === true ? at({ to: 'earliest' }) : undefined,
    flags.toLatest === true ? at({ to: 'latest' }) : undefined,
    flags.toCurrent === true ? at({ to: 'current' }) : undefined,
    toOffset === undefined ? undefined : at({ to: 'offset', offset: toOffset }),
    toDatetime === undefined ? undefined : at({ to: 'time' }, toDatetime),
    byDuration === undefined ? undefined : at({ to: 'time' }, Math.max(0, Date.now() - byDuration)),
    shiftBy === undefined ? undefined : at({ to: 'shift', by: shiftBy }),
    flags.fromFile === undefined ? undefined : at({ to: 'current' }),
  ].filter((one) => one !== undefined);
  const [only] = given;
  if (only === undefined || given.length > 1) {
    const ways =
      '--to-earliest, --to-latest, --to-offset, --to-datetime, --by-duration, --shift-by, --to-current, --from-file';
    throw new UsageError(`reset to where? Give one of ${ways}`);
  }
  const scopes = [flags.topic !== undefined, flags.allTopics === true, flags.fromFile !== undefined];
  if (scopes.filter(Boolean).length !== 1) {
    throw new UsageError(
      'reset which partitions? Give --topic NAME[:PARTITION,…], --all-topics or --from-file, one of them',
    );
  }
  return only;
}

async function scope(
  admin: Admin,
  groupId: string,
  committed: ReadonlyMap<string, NamedPartition>,
  { topic }: ResetFlags,
): Promise<readonly NamedPartition[]> {
  if (topic !== undefined) return partitionsOf(admin, topic);
  if (committed.size > 0) return [...committed.values()];
  throw new CliError(`group ${groupId} has committed nothing: name its topics with --topic`);
}

async function mustBeEmpty(admin: Admin, groupId: string): Promise<void> {
  try {
    const [group] = await admin.describeGroups([groupId]);
    if (group === undefined || group.members.length === 0) return;
    const members = count(group.members.length, 'member');
    const advice = `stop them all and wait for the group to be Empty (it is ${group.state}), since they would commit over it`;
    throw new CliError(`group ${groupId} has ${members}: ${advice}`, undefined, 'NON_EMPTY_GROUP');
  } catch (error) {
    // A reset may make the group.
    if (!hasCode(error, 'GROUP_ID_NOT_FOUND')) throw error;
  }
}

interface Committed extends NamedPartition {
  readonly offset: number;
}

async function committedOf(admin: Admin, groupId: string): Promise<ReadonlyMap<string, Committed>> {
  const offsets = await admin.listGroupOffsets(groupId);
  const there = offsets.filter(({ offset }) => offset >= 0);
  return new Map(
    there.map(({ topic, partition, offset }) => [nameOf({ topic, partition }), { topic, partition, offset }]),
  );
}

async function plan(
  admin: Admin,
  aims: readonly Aim[],
  committed: ReadonlyMap<string, Committed>,
  timestamp: number | undefined,
): Promise<readonly PlannedOffset[]> {
  const ask = async (spec: OffsetQuestion['spec']) =>
    admin.listOffsets(aims.map(({ topic, partition }) => ({ topic, partition, spec })));
  const [starts, ends, found] = await Promise.all([
    ask('earliest'),
    ask('latest'),
    timestamp === undefined ? [] : ask({ timestamp }),
  ]);
  return aims.map(({ topic, partition, reset }, index) => {
    const at = found[index]?.offset ?? -1;
    const facts: PartitionFacts = {
      ...{ topic, partition, committed: committed.get(nameOf({ topic, partition }))?.offset },
      logStartOffset: starts[index]?.offset ?? 0,
      logEndOffset: ends[index]?.offset ?? 0,
      found: at < 0 ? undefined : at,
    };
    const planned = planOffset(reset, facts);
    if (planned !== undefined) return planned;
    throw new CliError(
      `nothing is committed for ${topic}-${partition}, so it cannot be shifted: name other partitions, or another way`,
    );
  });
}

function show(context: CommandContext, plans: readonly GroupPlan[], flags: ResetFlags): void {
  const all = plans.flatMap(({ groupId, offsets }) => offsets.map((one) => ({ groupId, ...one })));
  for (const { warning } of all) if (warning !== undefined) context.note(`warning: ${warning}`);
  if (context.json) {
    const offsets = all.map(({ groupId, topic, partition, committed = null, offset }) => ({
      ...{ groupId, topic, partition, currentOffset: committed, newOffset: offset },
    }));
    context.output.json({ executed: flags.execute === true, offsets });
  } else if (flags.export === true) {
    if (all.length > 0) context.output.line(formatOffsets(all, plans.length === 1));
  } else {
    const rows = all.map(({ groupId, topic, partition, committed, offset }) => [
      ...[groupId, topic, String(partition), committed === undefined ? '-' : String(committed), String(offset)],
    ]);
    context.output.line(formatTable(['group', 'topic', 'partition', 'current-offset', 'new-offset'], rows));
  }
}

async function fileOffsets(context: CommandContext, file: string): Promise<readonly FileOffset[]> {
  if (file === '-') return parseOffsets(await readStream(context.terminal.stdin), 'standard input');
  try {
    return parseOffsets(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { code = 'failed' } = error as NodeJS.ErrnoException;
    throw new CliError(
      `cannot read the offsets ${file} (${code}): make such a file with "barnabas groups reset-offsets … --export"`,
    );
  }
}

function nameOf({ topic, partition }: NamedPartition): string {
  return `${topic}-${partition}`;
}
