/** `barnabas start`: names and options. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { gather, port, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

export function addStartCommand(program: Command, run: Run): void {
  program
    .command('start')
    .description('run a node: all roles in this process, or those named by --role')
    .addOption(
      new Option('--role <role>', 'controller, broker or gateway; may be repeated (default: all three)').argParser(
        gather,
      ),
    )
    .option('-c, --config <file>', 'configuration in YAML; environment and flags win over it')
    .option('-d, --data-dir <directory>', 'where everything is kept', './data')
    .option('--host <address>', 'the address to listen on (default: 127.0.0.1)')
    .option('--port <n>', "the gateway's gRPC port; 0 for a free one (default: 7600)", port)
    .option('--http-port <n>', "the gateway's HTTP port (default: 7680)", port)
    .option('--broker-port <n>', "the broker's gRPC port (default: 7700)", port)
    .option('--controller-port <n>', "the controller's gRPC port (default: 7800)", port)
    .option('--node-id <n>', "this node's id (default: 1)", wholeNumber(0, 2 ** 31 - 1))
    .option('--cluster-id <id>', 'the cluster this node belongs to (default: made at the first start)')
    .option('--set <key=value>', 'any configuration key; may be repeated', gather)
    .addOption(
      new Option('--log-level <level>', 'what to log on standard error (default: info, on a terminal warn)').choices([
        'debug',
        'info',
        'warn',
        'error',
        'silent',
      ]),
    )
    .option('--grace-ms <ms>', 'how long a stop may take', wholeNumber(0), 30_000)
    .addOption(new Option('--stop-with-stdin', 'stop when standard input ends').hideHelp())
    .action(run(async () => (await import('../actions/start.js')).start));
}
