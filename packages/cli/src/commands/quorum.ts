/** `barnabas quorum …`: names and options. */
import type { Command } from 'commander';
import { nodeId, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

const actions = () => import('../actions/quorum.js');

export function addQuorumCommands(program: Command, run: Run): void {
  const quorum = program.command('quorum').description('look at the quorum of the controllers, and change it');
  quorum
    .command('describe')
    .description('show who leads, who votes, and how far each controller is')
    .option('--status', 'only the quorum as a whole')
    .option('--replication', 'only how far each controller is')
    .action(run(async () => (await actions()).describeQuorum));
  timed(
    quorum
      .command('add-voter')
      .description('make a voter of a controller that runs as an observer')
      .argument('<controller>', 'its node id', nodeId)
      .option('--directory-id <id>', 'its directory id (default: that of the observer of this id)')
      .option('--address <host:port>', 'where the other controllers reach it (default: where it says itself)'),
  ).action(run(async () => (await actions()).addVoter));
  timed(
    quorum
      .command('remove-voter')
      .description("take a controller's vote away")
      .argument('<controller>', 'its node id', nodeId)
      .option('--directory-id <id>', 'its directory id (default: that of the voter of this id)'),
  ).action(run(async () => (await actions()).removeVoter));
  timed(
    quorum
      .command('transfer-leader')
      .description('hand the lead to another controller')
      .argument('[controller]', 'its node id (default: the one that is furthest)', nodeId),
  ).action(run(async () => (await actions()).transferLeader));
}

function timed(command: Command): Command {
  return command.option('--timeout-ms <ms>', 'how long it may take', wholeNumber(1), 60_000);
}
