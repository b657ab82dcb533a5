/**
 * The barnabas command: parses the arguments, runs the command, and turns whatever happened into an
 * exit code and at most one line on standard error.
 *
 *   0  the command did what it was asked     2  the arguments were not understood
 *   1  it failed                           130  it was interrupted before it was done
 */
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import type { Action, CommandContext, Connect } from './command-context.js';
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, errorLine, explain } from './errors.js';
import { mustAnswer } from './reachability.js';
import { createProgram } from './program.js';
import type { GlobalOptions } from './program.js';
import { ByteOutput } from './terminal/byte-output.js';
import { processTerminal } from './terminal/terminal.js';
import type { Terminal } from './terminal/terminal.js';
import { VERSION } from './version.js';

const HOLD_MS = 2 ** 30;

export interface MainDependencies {
  readonly terminal?: Terminal;
  /** Makes clients; the real one by default. */
  readonly connect?: Connect;
}

/** Runs one command line (without `node` and the script) and resolves to its exit code. */
export async function main(argv: readonly string[], dependencies: MainDependencies = {}): Promise<number> {
  if (dependencies.terminal !== undefined) return runMain(argv, dependencies.terminal, dependencies.connect);
  const terminal = processTerminal();
  try {
    return await runMain(argv, terminal, dependencies.connect);
  } finally {
    terminal.release();
  }
}

async function runMain(argv: readonly string[], terminal: Terminal, connect: Connect | undefined): Promise<number> {
  const output = new ByteOutput(terminal.stdout);
  let exitCode = EXIT_OK;
  const writeError = (text: string) => void terminal.stderr.write(text);
  const program = createProgram({
    version: VERSION,
    writeOut: (text) => output.text(text),
    writeError,
    json: argv.includes('--json'),
    run:
      (load) =>
      async (...parsed) => {
        const command = parsed.at(-1) as Command;
        const globals = command.optsWithGlobals<GlobalOptions>();
        const context = createContext(terminal, output, globals, connect);
        // The definition of a command and its action agree on the options by name; commander knows no types.
        const action = (await load()) as Action<unknown>;
        exitCode = (await action(context, command.args, globals)) ?? EXIT_OK;
      },
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    exitCode = report(error, program, writeError, terminal);
  }
  return flush(output, exitCode, writeError);
}

function report(error: unknown, program: Command, writeError: (text: string) => void, terminal: Terminal): number {
  // Commander has written its message itself; help and version are no failures.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  const { bootstrap, json } = program.opts<GlobalOptions>();
  const explanation = explain(error, bootstrap.join(','));
  writeError(`${errorLine(explanation, json === true)}\n`);
  if (terminal.environment['BARNABAS_DEBUG'] && error instanceof Error) writeError(`${error.stack ?? ''}\n`);
  return explanation.exitCode;
}

async function flush(output: ByteOutput, exitCode: number, writeError: (text: string) => void): Promise<number> {
  try {
    await output.flush();
    return exitCode;
  } catch (error) {
    writeError(
      `barnabas: standard output cannot be written: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    return exitCode === EXIT_OK ? EXIT_FAILED : exitCode;
  }
}

function createContext(
  terminal: Terminal,
  output: ByteOutput,
  globals: GlobalOptions,
  connect: Connect | undefined,
): CommandContext {
  const note = (text: string) => void terminal.stderr.write(`${text}\n`);
  return {
    terminal,
    output,
    json: globals.json === true,
    bootstrap: globals.bootstrap,
    note,
    async withClient(use, { bootstrap = globals.bootstrap, warnings = false } = {}) {
      if (connect === undefined) await mustAnswer(bootstrap);
      const make = connect ?? (await import('./connect.js')).connect;
      const environment = warnings ? (await import('./warnings.js')).warningEnvironment(note) : undefined;
      const client = make({ bootstrap, clientId: 'barnabas-cli', environment });
      // A client with timers of ours lets the process end between two connections.
      const hold = setInterval(() => undefined, HOLD_MS);
      try {
        return await use(client);
      } finally {
        clearInterval(hold);
        await client.close();
      }
    },
  };
}
