/** `barnabas reassign …`: names and options. */
import type { Command } from 'commander';
import { brokerIds, gather, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

const actions = () => import('../actions/reassign.js');

export function addReassignCommands(program: Command, run: Run): void {
  const reassign = program.command('reassign').description('move replicas of partitions between brokers');
  reassign
    .command('generate')
    .description('print a plan: replicas even over brokers, spread over racks, as few moved as possible')
    .option('-t, --topic <name>', 'a topic to plan for; may be repeated (default: all)', gather)
    .option(
      '--brokers <ids>',
      'the brokers to use, with commas between (default: all that are not decommissioned)',
      brokerIds,
    )
    .option(
      '-r, --replication-factor <n>',
      'replicas of each partition (default: as many as it has)',
      wholeNumber(1, 32_767),
    )
    .option('--backup <file>', 'write where replicas are now as a plan too, for going back')
    .action(run(async () => (await actions()).generate));
  planned(reassign.command('execute').description('begin the moves of a plan'))
    .option(
      '--throttle <bytes>',
      'bytes a second that each broker may copy for it; verify removes the limit',
      wholeNumber(1),
    )
    .option('--additional', 'also while other moves are under way; of the same plan, to change its throttle')
    .option('--forbid-replication-factor-change', 'refuse a plan that changes the number of replicas')
    .action(run(async () => (await actions()).execute));
  planned(
    reassign.command('verify').description('say how far a plan is, and remove its throttle when it is done'),
  ).action(run(async () => (await actions()).verify));
  reassign
    .command('cancel')
    .description('take back moves that are not done')
    .option('--plan <file>', 'those of a plan; - reads standard input')
    .option('--all', 'all that are under way')
    .option('--preserve-throttles', 'leave throttles as they are')
    .action(run(async () => (await actions()).cancel));
  reassign
    .command('list')
    .description('list the moves under way')
    .action(run(async () => (await actions()).list));
}

function planned(command: Command): Command {
  return command
    .requiredOption('--plan <file>', 'the plan, as generate prints it; - reads standard input')
    .option('--wait', 'until nothing of the plan moves any more, with a progress bar on a terminal')
    .option('--interval-ms <ms>', 'how often to look with --wait', wholeNumber(1), 500)
    .option('--preserve-throttles', 'leave throttles as they are');
}
