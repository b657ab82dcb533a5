/** `barnabas groups list|describe|delete|delete-offsets`. Resets: groups-reset.ts; live lag: groups-watch.ts. */
import type { Admin, GroupState } from '@barnabas/client';
import type { Action, CommandContext } from '../command-context.js';
import { CliError, EXIT_FAILED, EXIT_OK, UsageError } from '../errors.js';
import { lagJson } from '../groups/group-json.js';
import { membersTable, offsetsTable, statesTable } from '../groups/lag-table.js';
import { partitionsOf } from '../groups/topic-selection.js';
import type { SelectedTopic } from '../groups/topic-selection.js';
import { formatTable } from '../terminal/table.js';
import { count } from '../text/quantities.js';

interface ListFlags {
  readonly state?: readonly GroupState[];
}

export const listGroups: Action<ListFlags> = async (context, _args, { state }) => {
  const options = state === undefined ? {} : { states: state };
  const groups = await context.withClient((client) => client.admin().listGroups(options));
  if (context.json) context.output.json(groups);
  else if (groups.length === 0)
    context.note(state === undefined ? 'there are no groups' : `no group is ${state.join(' or ')}`);
  else {
    const rows = groups.map(({ groupId, state: stands, members, coordinatorId }) => [
      ...[groupId, stands, String(members), String(coordinatorId)],
    ]);
    context.output.line(formatTable(['group', 'state', '#members', 'coordinator'], rows));
  }
  return undefined;
};

export interface GroupsFlags {
  readonly allGroups?: boolean;
}

interface DescribeFlags extends GroupsFlags {
  readonly members?: boolean;
  readonly offsets?: boolean;
  readonly state?: boolean;
}

export const describeGroups: Action<DescribeFlags> = async (context, args, flags) => {
  const asked = [flags.members, flags.offsets, flags.state].filter((flag) => flag === true).length;
  if (asked > 1) throw new UsageError('describe what? Give one of --offsets, --members and --state');
  await context.withClient(async (client) => {
    const admin = client.admin();
    const ids = await namedGroups(admin, args, flags);
    if (flags.members === true || flags.state === true) {
      const groups = await admin.describeGroups(ids);
      if (context.json) context.output.json(groups);
      else if (flags.state === true) print(context, groups, statesTable);
      else
        print(
          context,
          groups.filter(({ members }) => members.length > 0),
          membersTable,
        );
      if (!context.json) noteEmpty(context, groups);
      return;
    }
    const groups = await admin.groupLag(ids);
    if (context.json) context.output.json(groups.map(lagJson));
    else {
      print(
        context,
        groups.filter(({ partitions }) => partitions.length > 0),
        offsetsTable,
      );
      noteEmpty(context, groups);
      for (const { groupId, partitions } of groups) {
        if (partitions.length === 0) context.note(`group ${groupId} has committed nothing, and owns no partitions`);
        for (const { topic, partition, error } of partitions) {
          if (error !== undefined)
            context.note(`the leader of ${topic}-${partition} could not be asked: ${error.message}`);
        }
      }
    }
  });
  return undefined;
};

function print<T>(context: CommandContext, groups: readonly T[], table: (groups: readonly T[]) => string): void {
  if (groups.length > 0) context.output.line(table(groups));
}

function noteEmpty(
  context: CommandContext,
  groups: readonly { readonly groupId: string; readonly members: readonly unknown[] }[],
): void {
  for (const { groupId, members } of groups) {
    if (members.length === 0) context.note(`group ${groupId} has no members now`);
  }
}

/** The groups of a command line: those named, or all that there are. */
export async function namedGroups(
  admin: Admin,
  args: readonly string[],
  { allGroups = false }: GroupsFlags,
): Promise<readonly string[]> {
  if (args.length > 0 === allGroups) throw new UsageError('which groups? Name them, or give --all-groups');
  if (!allGroups) return [...new Set(args)];
  return (await admin.listGroups()).map(({ groupId }) => groupId);
}

/** Goes on behind a failure, so that one group with members does not keep the others. */
export const deleteGroups: Action<GroupsFlags> = async (context, args, flags) => {
  return context.withClient(async (client) => {
    const admin = client.admin();
    const ids = await namedGroups(admin, args, flags);
    if (ids.length === 0) context.note('there are no groups: nothing was deleted');
    const outcomes = await Promise.all(
      ids.map(async (groupId) => {
        try {
          await admin.deleteGroups([groupId]);
          return { groupId, error: undefined };
        } catch (error) {
          // A single group is the command's own failure.
          if (ids.length === 1) throw error;
          return { groupId, error: error as Error & { readonly errorName?: string } };
        }
      }),
    );
    for (const { groupId, error } of outcomes) {
      if (context.json) {
        const failure = error && { error: { code: error.errorName ?? null, message: error.message } };
        context.output.json({ groupId, deleted: error === undefined, ...failure });
      } else if (error === undefined) context.output.line(`deleted ${groupId}`);
      else context.note(`${groupId} stays: ${error.message} [${error.errorName ?? 'failed'}]`);
    }
    return outcomes.some(({ error }) => error !== undefined) ? EXIT_FAILED : EXIT_OK;
  });
};

interface DeleteOffsetsFlags {
  readonly topic: readonly SelectedTopic[];
}

export const deleteOffsets: Action<DeleteOffsetsFlags> = async (context, [groupId = ''], { topic }) => {
  await context.withClient(async (client) => {
    const admin = client.admin();
    const partitions = await partitionsOf(admin, topic);
    const committed = await admin.listGroupOffsets(groupId, { partitions });
    const there = committed.filter(({ offset }) => offset >= 0);
    // A group that does not exist has committed nothing either, and describing it says so.
    if (there.length === 0) await admin.describeGroups([groupId]);
    if (there.length === 0)
      throw new CliError(`group ${groupId} has committed nothing of these: see "barnabas groups describe ${groupId}"`);
    await admin.deleteGroupOffsets(groupId, there);
    const deleted = there.map(({ topic: name, partition, offset }) => ({ topic: name, partition, offset }));
    if (context.json) context.output.json({ groupId, deleted });
    else context.output.line(`deleted ${count(deleted.length, 'offset')} of group ${groupId}`);
  });
  return undefined;
};
