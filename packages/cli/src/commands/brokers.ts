/** `barnabas brokers …`: names and options. */
import type { Command } from 'commander';
import { nodeId, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

const actions = () => import('../actions/brokers.js');

export function addBrokersCommands(program: Command, run: Run): void {
  const brokers = program.command('brokers').description('list brokers, empty them, and forget them');
  brokers
    .command('list')
    .description('list registered brokers, with what they hold')
    .action(run(async () => (await import('../actions/cluster.js')).listBrokers));
  brokers
    .command('decommission')
    .description('move everything away from a broker and keep new replicas off it; ends when it is empty')
    .argument('<broker>', 'its node id', nodeId)
    .option('--cancel', 'take it back: the broker stays')
    .option('--no-wait', 'begin, say how much there is to move, and end')
    .option('--interval-ms <ms>', 'how often to look how far it is', wholeNumber(1), 500)
    .action(run(async () => (await actions()).decommission));
  brokers
    .command('unregister')
    .description('forget a broker that is empty and has been stopped')
    .argument('<broker>', 'its node id', nodeId)
    .action(run(async () => (await actions()).unregister));
}
