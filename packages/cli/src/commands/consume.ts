/** `barnabas consume TOPIC`: names and options. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { groupName, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

export function addConsumeCommand(program: Command, run: Run): void {
  program
    .command('consume')
    .description('print the records of a topic, from now on unless told otherwise')
    .argument('<topic>')
    .option('--from-beginning', 'begin with the oldest record; with --group where nothing is committed')
    .addOption(
      new Option('-o, --offset <n>', 'begin at this offset').argParser(wholeNumber(0)).conflicts('fromBeginning'),
    )
    .option('-p, --partition <n>', 'only this partition (default: all)', wholeNumber(0, 2 ** 31 - 1))
    .addOption(
      new Option('-g, --group <id>', 'as a member of this group: go on where it has committed, commit what is printed')
        .argParser(groupName)
        .conflicts(['partition', 'offset', 'exitAtEnd']),
    )
    .option(
      '--group-instance-id <id>',
      'a static member: nothing moves while it is away for less than a session',
      groupName,
    )
    .option('-n, --max-messages <n>', 'end after this many records', wholeNumber(1))
    .option('--timeout-ms <ms>', 'end when no record came for this long', wholeNumber(1))
    .option('-e, --exit-at-end', 'end at the records that are there now')
    .option('-f, --format <format>', "fields %t %p %o %k %v %h %T, escapes \\n \\t \\xHH, or json (default: '%v\\n')")
    .addOption(
      new Option('--isolation-level <level>', 'whether to read records of open transactions')
        .choices(['read_uncommitted', 'read_committed'])
        .default('read_uncommitted'),
    )
    .action(run(async () => (await import('../actions/consume.js')).consume));
}
