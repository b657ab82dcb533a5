/**
 * `barnabas groups watch`: lag as it is now, again and again. On a terminal one table that is drawn over;
 * elsewhere a line for each group and look. Ctrl-C is how it ends, and no failure. What passes (a
 * coordinator that moves, a node that cannot be reached) is told of, and looked at again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin, GroupLag } from '@barnabas/client';
import type { Action, CommandContext } from '../command-context.js';
import { EXIT_OK, hasCode } from '../errors.js';
import { lagJson } from '../groups/group-json.js';
import { offsetsTable, totalsOf } from '../groups/lag-table.js';
import { Screen } from '../terminal/screen.js';
import { count } from '../text/quantities.js';
import { formatDuration } from '../text/times.js';
import { namedGroups } from './groups.js';
import type { GroupsFlags } from './groups.js';

interface WatchFlags extends GroupsFlags {
  readonly intervalMs: number;
  readonly looks?: number;
}

export const watchGroups: Action<WatchFlags> = async (context, args, flags) => {
  const { interrupted } = context.terminal;
  const stop = AbortSignal.any([interrupted, context.output.closed]);
  await context.withClient(async (client) => {
    const admin = client.admin();
    const view = context.terminal.stdoutIsTerminal && !context.json ? screenView(context) : lineView(context);
    for (let looks = 1; ; looks++) {
      // Whoever wants to end does not wait for an answer, which may be a minute away.
      const groups = await unlessEnded(look(context, admin, args, flags, looks === 1), stop);
      if (groups !== undefined) view(groups);
      context.output.push();
      if (stop.aborted || looks === flags.looks) return;
      // An interrupted sleep rejects: what ends the loop is the signal.
      await sleep(flags.intervalMs, undefined, { signal: stop }).catch(() => {});
      if (stop.aborted) return;
    }
  });
  return EXIT_OK;
};

/** Undefined where it failed in a way that may pass. What fails at the first look is a mistake, or nobody is there. */
async function look(
  context: CommandContext,
  admin: Admin,
  args: readonly string[],
  flags: WatchFlags,
  isFirst: boolean,
): Promise<readonly GroupLag[] | undefined> {
  try {
    return await admin.groupLag(await namedGroups(admin, args, flags));
  } catch (error) {
    const { retriable = false, message } = error as Error & { readonly retriable?: boolean };
    // A group may go between its listing and its description.
    const isGone = flags.allGroups === true && hasCode(error, 'GROUP_ID_NOT_FOUND');
    if (isFirst || !(retriable || isGone)) throw error;
    context.note(`cannot look now: ${message}`);
    return undefined;
  }
}

/** Undefined once the signal is given. Leaves nothing behind: a watch may go on for weeks. */
async function unlessEnded<T>(work: Promise<T>, stop: AbortSignal): Promise<T | undefined> {
  let end = (): void => {};
  const ended = new Promise<undefined>((resolve) => {
    end = () => resolve(undefined);
  });
  stop.addEventListener('abort', end);
  if (stop.aborted) end();
  try {
    return await Promise.race([work, ended]);
  } finally {
    stop.removeEventListener('abort', end);
  }
}

type View = (groups: readonly GroupLag[]) => void;

function screenView(context: CommandContext): View {
  const screen = new Screen(context.terminal.stdout, (text) => context.output.text(text));
  return (groups) => {
    const heads = groups.map((group) => `${summary(group)}`);
    const rows = groups.some(({ partitions }) => partitions.length > 0) ? offsetsTable(groups).split('\n') : [];
    screen.draw([new Date().toISOString(), ...heads, '', ...rows]);
  };
}

function lineView(context: CommandContext): View {
  return (groups) => {
    const time = new Date().toISOString();
    for (const group of groups) {
      if (context.json) context.output.json({ time, ...lagJson(group) });
      else context.output.line(`${time} ${summary(group)}`);
    }
  };
}

function summary({ groupId, state, members, partitions }: GroupLag): string {
  const { lag, lagMs, unknown } = totalsOf(partitions);
  const rest = unknown === 0 ? '' : `, ${count(unknown, 'partition')} unknown`;
  return `${groupId} ${state}, ${count(members.length, 'member')}, lag ${count(lag, 'record')}, ${formatDuration(lagMs)}${rest}`;
}
