/** `barnabas topics …`: names and options. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { gather, keyValue, replicaAssignment, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

const actions = () => import('../actions/topics.js');

export function addTopicsCommands(program: Command, run: Run): void {
  const topics = program.command('topics').description('create, list, describe, change and delete topics');
  topics
    .command('create')
    .description('create topics')
    .argument('<name...>')
    .option(
      '-p, --partitions <n>',
      "number of partitions (default: the cluster's num.partitions)",
      wholeNumber(1, 2 ** 31 - 1),
    )
    .option(
      '-r, --replication-factor <n>',
      "replicas of each partition (default: the cluster's default.replication.factor)",
      wholeNumber(1, 32_767),
    )
    .addOption(
      new Option(
        '--replica-assignment <list>',
        'brokers of each partition, the preferred leader first: 1:2,2:3 makes two partitions with two replicas',
      )
        .argParser(replicaAssignment)
        .conflicts(['partitions', 'replicationFactor']),
    )
    .option('-c, --config <key=value>', 'a configuration of the topic; may be repeated', keyValue)
    .option('--if-not-exists', 'a topic that exists already is no error')
    .action(run(async () => (await actions()).createTopics));
  topics
    .command('list')
    .description('list topics')
    .option('--internal', 'internal topics too')
    .action(run(async () => (await actions()).listTopics));
  topics
    .command('describe')
    .description('show partitions of topics: leaders, replicas, ISR, ELR, lag, offsets')
    .argument('[name...]', 'all topics if none is named')
    .option('--under-replicated', 'only partitions of which a replica is not in sync')
    .option('--unavailable', 'only partitions without a leader')
    .option('--under-min-isr', 'only partitions with fewer replicas in sync than min.insync.replicas')
    .option('--at-min-isr', 'only partitions with just min.insync.replicas in sync')
    .action(run(async () => (await import('../actions/topics-describe.js')).describeTopics));
  topics
    .command('alter')
    .description('add partitions or change the configuration of a topic')
    .argument('<name>')
    .option('-p, --partitions <n>', 'the new number of partitions; it can only grow', wholeNumber(1, 2 ** 31 - 1))
    .option('-c, --config <key=value>', 'set a configuration of the topic; may be repeated', keyValue)
    .option('--delete-config <key>', 'give a configuration back to its default; may be repeated', gather)
    .action(run(async () => (await actions()).alterTopic));
  topics
    .command('delete')
    .description('delete topics with their records')
    .argument('<name...>')
    .option('--if-exists', 'a topic that does not exist is no error')
    .action(run(async () => (await actions()).deleteTopics));
}
