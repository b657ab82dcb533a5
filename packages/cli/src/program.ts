/**
 * The command line as commander sees it: names, options and help. What a command does is in
 * actions/ and is loaded only when it runs, so that help and errors are immediate.
 */
import { Command, Option } from 'commander';
import { addBenchCommands } from './commands/bench.js';
import { addBrokersCommands } from './commands/brokers.js';
import { addClusterCommands } from './commands/cluster.js';
import { addConfigsCommands } from './commands/configs.js';
import { addConsumeCommand } from './commands/consume.js';
import { addFeaturesCommands } from './commands/features.js';
import { addGroupsCommands } from './commands/groups.js';
import { addLeaderElectionCommand } from './commands/leader-election.js';
import { addLogCommands } from './commands/log.js';
import { addProduceCommand } from './commands/produce.js';
import { addQuorumCommands } from './commands/quorum.js';
import { addReassignCommands } from './commands/reassign.js';
import { addStartCommand } from './commands/start.js';
import { addStorageCommands } from './commands/storage.js';
import { addTopicsCommands } from './commands/topics.js';
import { addUpCommand } from './commands/up.js';
import type { Run } from './commands/run.js';
import { EXIT_USAGE, errorLine } from './errors.js';
import { bootstrap } from './option-parsers.js';

export const DEFAULT_BOOTSTRAP = '127.0.0.1:7600';

export interface GlobalOptions {
  readonly bootstrap: readonly string[];
  readonly json?: boolean;
}

export interface ProgramOptions {
  readonly version: string;
  readonly run: Run;
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
  /** Errors are to be JSON. Known before anything is parsed: what is reported may be that it cannot be. */
  readonly json: boolean;
}

export function createProgram({ version, run, writeOut, writeError, json }: ProgramOptions): Command {
  const program = new Command('barnabas')
    .description("A distributed commit log with Kafka's model, spoken over gRPC.")
    .version(version)
    .addOption(
      new Option('-b, --bootstrap <host:port>', 'where the cluster answers')
        .env('BARNABAS_BOOTSTRAP')
        .argParser(bootstrap)
        .default([DEFAULT_BOOTSTRAP], DEFAULT_BOOTSTRAP),
    )
    .option('--json', 'print JSON for machines')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError(false);
  addStartCommand(program, run);
  addUpCommand(program, run);
  addTopicsCommands(program, run);
  addProduceCommand(program, run);
  addConsumeCommand(program, run);
  addGroupsCommands(program, run);
  addClusterCommands(program, run);
  addBrokersCommands(program, run);
  addReassignCommands(program, run);
  addLeaderElectionCommand(program, run);
  addQuorumCommands(program, run);
  addFeaturesCommands(program, run);
  addStorageCommands(program, run);
  addConfigsCommands(program, run);
  addLogCommands(program, run);
  addBenchCommands(program, run);
  program.addHelpText('after', EXAMPLES);
  for (const command of withSubcommands(program)) {
    command.exitOverride();
    // --help does the same, and a group has few enough commands to list.
    command.helpCommand(false);
    command.configureOutput({
      writeOut,
      writeErr: writeError,
      outputError: (text, write) => write(usageLine(text, command, json)),
    });
  }
  return program;
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** One line: commander's text with its suggestion, and where to read on. */
function usageLine(text: string, command: Command, json: boolean): string {
  const problem = text
    .trim()
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/\.$/, '');
  const message = `${problem}; see "${fullName(command)} --help"`;
  return `${errorLine({ text: message, exitCode: EXIT_USAGE, code: undefined }, json)}\n`;
}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

const EXAMPLES = `
Examples:
  barnabas start                                      run everything in this process
  barnabas topics create clicks --partitions 8
  cat access.log | barnabas produce clicks
  barnabas consume clicks --from-beginning --format '%p %o %v\\n'
`;
