/** `barnabas produce TOPIC`: names and options. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { acks, wholeNumber } from '../option-parsers.js';
import type { Run } from './run.js';

export const COMPRESSION_CHOICES = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

/** Options of everything that produces. */
export function addProducerOptions(command: Command): Command {
  return command
    .option('--acks <all|1|0>', 'whose acknowledgement to wait for', acks, 'all' as const)
    .addOption(
      new Option('--compression <type>', 'compression of batches').choices([...COMPRESSION_CHOICES]).default('none'),
    )
    .option('--linger-ms <ms>', 'how long a record waits for others to share its batch (default: 5)', wholeNumber(0))
    .option('--batch-size <bytes>', 'a batch is sent when it has this size', wholeNumber(1), 65_536)
    .option('--max-request-size <bytes>', 'the largest record or request', wholeNumber(1), 1_048_576)
    .option('--buffer-memory <bytes>', 'records waiting to be sent and acknowledged', wholeNumber(1), 33_554_432)
    .option('--no-idempotence', 'allow retries to write duplicates; nothing is remembered of this producer');
}

export function addProduceCommand(program: Command, run: Run): void {
  const command = program
    .command('produce')
    .description('read lines from standard input and append each to a topic as a record')
    .argument('<topic>')
    .option('-p, --partition <n>', 'the partition of every record', wholeNumber(0, 2 ** 31 - 1))
    .option('-k, --key-separator <text>', 'what stands between key and value of a line');
  addProducerOptions(command).action(run(async () => (await import('../actions/produce.js')).produce));
}
