/** `barnabas leader-election`: names and options. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { gatherNumbers } from '../option-parsers.js';
import type { Run } from './run.js';

export function addLeaderElectionCommand(program: Command, run: Run): void {
  program
    .command('leader-election')
    .description('give leaderships back to preferred leaders, or let a replica lead that may miss records')
    .addOption(
      new Option(
        '--type <type>',
        'preferred: the first replica, if it is in sync; unclean: any replica, where nobody leads',
      )
        .choices(['preferred', 'unclean'])
        .makeOptionMandatory(),
    )
    .option('-t, --topic <name>', 'of this topic')
    .option('--partition <n>', 'only of this partition; may be repeated', gatherNumbers)
    .option('--all', 'of all topics')
    .action(run(async () => (await import('../actions/leader-election.js')).electLeaders));
}
