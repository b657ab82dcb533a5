/** `barnabas log …`: names and options. */
import type { Command } from 'commander';
import type { Run } from './run.js';

export function addLogCommands(program: Command, run: Run): void {
  const log = program.command('log').description('look at partition logs on disk');
  log
    .command('dump')
    .description('read the log of a partition that no broker has open, check every CRC, and print its batches')
    .argument('<directory>', "a partition's directory")
    .option('--records', 'print the records of each batch too')
    .action(run(async () => (await import('../actions/log-dump.js')).dump));
}
