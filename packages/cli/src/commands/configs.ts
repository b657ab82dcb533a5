/** `barnabas configs …`: names and options. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { gather, keyValue, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

const actions = () => import('../actions/configs.js');

export function addConfigsCommands(program: Command, run: Run): void {
  const configs = program.command('configs').description('show and change the configuration of topics and brokers');
  withResource(configs.command('describe').description('show the configuration of a topic or a broker'))
    .option('--all', 'defaults too, not only what was set')
    .option('--key <key>', 'only this key; may be repeated', gather)
    .action(run(async () => (await actions()).describeConfigs));
  withResource(configs.command('alter').description('change the configuration of a topic or a broker'))
    .option('--set <key=value>', 'set a key; may be repeated', keyValue)
    .option('--delete <key>', 'give a key back to its default; may be repeated', gather)
    .option('--append <key=value>', 'add to a list; may be repeated', keyValue)
    .option('--subtract <key=value>', 'take from a list; may be repeated', keyValue)
    .action(run(async () => (await actions()).alterConfigs));
}

function withResource(command: Command): Command {
  return command
    .option('-t, --topic <name>', 'of this topic')
    .addOption(new Option('--broker <id>', 'of this broker').argParser(wholeNumber(0, 2 ** 31 - 1)).conflicts('topic'));
}
