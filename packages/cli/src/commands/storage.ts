/** `barnabas storage …`: names and options. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { gather, initialControllers, port, uuid, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

const actions = () => import('../actions/storage.js');
const DATA_DIR = './data';

export function addStorageCommands(program: Command, run: Run): void {
  const storage = program.command('storage').description("prepare a node's directory, and look at it");
  storage
    .command('format')
    .description('say which cluster a directory belongs to, and of a controller who votes first')
    .requiredOption(
      '--cluster-id <id>',
      'the cluster; "barnabas storage random-uuid" makes one for a new cluster',
      uuid,
    )
    .option('--role <role>', 'controller or broker; may be repeated (default: controller)', gather)
    .option('-c, --config <file>', 'configuration in YAML; environment and flags win over it')
    .option('-d, --data-dir <directory>', 'the directory', DATA_DIR)
    .option('--node-id <n>', "the node's id (default: 1)", wholeNumber(0, 2 ** 31 - 1))
    .option('--host <address>', 'the address that the controller will listen on', undefined)
    .option('--controller-port <n>', "the controller's gRPC port (default: 7800)", port)
    .option('--set <key=value>', 'any configuration key; may be repeated', gather)
    .option('--standalone', 'this controller alone votes first; others can be added')
    .addOption(
      new Option(
        '--initial-controllers <list>',
        'id@host:port:directoryId of all that vote first, with commas between; the same for each',
      ).argParser(initialControllers),
    )
    .option('--no-initial-controllers', 'this controller joins a quorum that there is, without a vote at first')
    .option('--ignore-formatted', 'a directory that is formatted for the same node is no error')
    .action(run(async () => (await actions()).format));
  storage
    .command('info')
    .description('show which cluster and node a directory belongs to')
    .option('-d, --data-dir <directory>', 'the directory', DATA_DIR)
    .action(run(async () => (await actions()).info));
  storage
    .command('random-uuid')
    .description('print an id for a cluster or a directory')
    .action(run(async () => (await actions()).randomUuid));
}
