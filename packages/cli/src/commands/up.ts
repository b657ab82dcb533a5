/** `barnabas up`: names and options. */
import type { Command } from 'commander';
import { gather, port, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

export function addUpCommand(program: Command, run: Run): void {
  program
    .command('up')
    .description('run a whole cluster on this machine, a process for each node, and report on it as JSON lines')
    .option('--brokers <n>', 'how many brokers', wholeNumber(1, 100), 3)
    .option('--controllers <n>', 'how many controllers', wholeNumber(1, 9), 1)
    .option('--gateways <n>', 'how many gateways', wholeNumber(0, 100), 1)
    .option('-d, --data-dir <directory>', 'where everything is kept, one folder for each node', './data-cluster')
    .option(
      '--base-port <n>',
      'gateways listen from here, brokers 100 above, controllers 200; 0 for free ports',
      port,
      7600,
    )
    .option('--set <key=value>', 'a configuration key for every node that knows it; may be repeated', gather)
    .option('--log-level <level>', "what nodes log into the data directory's logs folder", 'info')
    .option('--restart', 'start a node again when it ends')
    .option('--grace-ms <ms>', 'how long a stop may take', wholeNumber(0), 30_000)
    .action(run(async () => (await import('../actions/up.js')).up));
}
