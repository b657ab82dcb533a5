/** `barnabas groups …`: names and options. */
import type { Command } from 'commander';
import { dateTime, duration, groupStates } from '../groups/option-parsers.js';
import { gatherTopics } from '../groups/topic-selection.js';
import { wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

const actions = () => import('../actions/groups.js');

export function addGroupsCommands(program: Command, run: Run): void {
  const groups = program.command('groups').description('consumer groups: who reads, how far, and from where');
  groups
    .command('list')
    .description('list the groups that there are')
    .option(
      '--state <states>',
      'only groups in these states, with commas between: Empty, Assigning, Reconciling, Stable',
      groupStates,
    )
    .action(run(async () => (await actions()).listGroups));
  groups
    .command('describe')
    .description('show offsets and lag of groups, or their members, or their state')
    .argument('[group...]')
    .option('--all-groups', 'all groups that there are')
    .option('--offsets', 'committed offsets, ends of logs, and lag in records and in time (default)')
    .option('--members', 'members, and what each owns')
    .option('--state', 'coordinator, assignor, state and epochs')
    .action(run(async () => (await actions()).describeGroups));
  groups
    .command('delete')
    .description('forget groups without members, and what they have committed')
    .argument('[group...]')
    .option('--all-groups', 'all groups that there are')
    .action(run(async () => (await actions()).deleteGroups));
  groups
    .command('delete-offsets')
    .description('forget what a group has committed of topics that none of its members subscribes to')
    .argument('<group>')
    .requiredOption(
      '-t, --topic <name[:partitions]>',
      'a topic, or some of its partitions: clicks:0,2; may be repeated',
      gatherTopics,
    )
    .action(run(async () => (await actions()).deleteOffsets));
  addReset(groups, run);
  groups
    .command('watch')
    .description('show lag live: a table on a terminal, else a line for each group and look; Ctrl-C ends it')
    .argument('[group...]')
    .option('--all-groups', 'all groups, those that come later included')
    .option('--interval-ms <ms>', 'how often to look', wholeNumber(1), 1000)
    .option('--looks <n>', 'end after so many looks', wholeNumber(1))
    .action(run(async () => (await import('../actions/groups-watch.js')).watchGroups));
}

function addReset(groups: Command, run: Run): void {
  groups
    .command('reset-offsets')
    .description('set committed offsets of groups without members; shows what would change unless --execute is given')
    .argument('[group...]')
    .option('--all-groups', 'all groups that there are')
    .option(
      '-t, --topic <name[:partitions]>',
      'a topic, or some of its partitions: clicks:0,2; may be repeated',
      gatherTopics,
    )
    .option('--all-topics', 'everything that the group has committed')
    .option('--to-earliest', 'to the start of the log')
    .option('--to-latest', 'to the end of the log')
    .option('--to-offset <offset>', 'to this offset', wholeNumber(0))
    .option(
      '--to-datetime <time>',
      'to the first record at or after 2026-07-01T12:00:00.000 (UTC unless it has a zone)',
      dateTime,
    )
    .option('--by-duration <duration>', 'to the first record at or after so long ago: P7D, PT1H30M', duration)
    .option('--shift-by <n>', 'forward by so many offsets, or back: -10', wholeNumber(Number.MIN_SAFE_INTEGER))
    .option('--to-current', 'to where it is: with --export, a backup')
    .option('--from-file <file>', 'to the offsets of a CSV file, as --export prints it; - reads standard input')
    .option('--dry-run', 'change nothing (the default)')
    .option('--execute', 'do it')
    .option('--export', 'print the new offsets as CSV')
    .action(run(async () => (await import('../actions/groups-reset.js')).resetOffsets));
}
