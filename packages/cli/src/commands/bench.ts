/** `barnabas bench …`: names and options. */
import type { Command } from 'commander';
import { wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';
import { addProducerOptions } from './produce.js';

const actions = () => import('../actions/bench.js');

export function addBenchCommands(program: Command, run: Run): void {
  const bench = program.command('bench').description('measure a running cluster');
  const produce = bench
    .command('produce')
    .description('produce records as fast as the cluster takes them')
    .option('-t, --topic <name>', 'the topic; created if it does not exist', 'barnabas-bench')
    .option('-n, --records <n>', 'how many records', wholeNumber(1), 1_000_000)
    .option('-s, --record-size <bytes>', 'the size of each value', wholeNumber(0), 1024)
    .option('--partitions <n>', 'partitions of the topic if it is created', wholeNumber(1), 1)
    .option('--rate <n>', 'records a second at most (default: no limit)', wholeNumber(1));
  addProducerOptions(produce).action(run(async () => (await actions()).benchProduce));
  bench
    .command('consume')
    .description('consume records as fast as the cluster sends them')
    .option('-t, --topic <name>', 'the topic', 'barnabas-bench')
    .option('-n, --records <n>', 'how many records (default: all that are there)', wholeNumber(1))
    .action(run(async () => (await actions()).benchConsume));
  const e2e = bench
    .command('e2e')
    .description('measure the time from send to receipt at a fixed rate')
    .option('-t, --topic <name>', 'the topic; created if it does not exist', 'barnabas-bench-e2e')
    .option('-s, --record-size <bytes>', 'the size of each value', wholeNumber(8), 1024)
    .option('--partitions <n>', 'partitions of the topic if it is created', wholeNumber(1), 1)
    .option('--rate <n>', 'records a second', wholeNumber(1, 1_000_000), 1000)
    .option('--seconds <n>', 'how long', wholeNumber(1, 86_400), 10);
  addProducerOptions(e2e).action(run(async () => (await actions()).benchEndToEnd));
}
