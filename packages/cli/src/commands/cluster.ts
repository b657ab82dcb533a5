/** `barnabas cluster …`: names and options. */
import type { Command } from 'commander';
import type { Run } from './run.js';

export function addClusterCommands(program: Command, run: Run): void {
  const cluster = program.command('cluster').description('look at the cluster as a whole');
  cluster
    .command('describe')
    .description('show the cluster id, brokers and controllers')
    .action(run(async () => (await import('../actions/cluster.js')).describeCluster));
}
