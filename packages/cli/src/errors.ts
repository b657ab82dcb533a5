/**
 * From whatever a command failed with to what its user reads: one line that says what is wrong and
 * what to do, with the typed code, and an exit code. No stack traces, unless BARNABAS_DEBUG is set.
 */
import type { BarnabasError, ErrorName } from '@barnabas/protocol';

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** As shells report a process ended by Ctrl-C. */
export const EXIT_INTERRUPTED = 130;

/** A failure in the command's own words. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    message: string,
    readonly exitCode: number = EXIT_FAILED,
    readonly code: string | undefined = undefined,
  ) {
    super(message);
  }
}

/** The user asked for something that the command cannot mean. */
export class UsageError extends CliError {
  constructor(message: string) {
    super(message, EXIT_USAGE);
  }
}

export interface Explanation {
  readonly text: string;
  readonly exitCode: number;
  readonly code: string | undefined;
}

/** A failure said for this command line, where its own text does not name the command that helps. */
type Rephrase = (message: string, bootstrap: string) => string;

const unreachable: Rephrase = (message, bootstrap) =>
  `${message}: is a node running at ${bootstrap}? Start one with "barnabas start", or name another with --bootstrap host:port`;

const REPHRASED: Partial<Record<ErrorName, Rephrase>> = {
  NETWORK_EXCEPTION: unreachable,
  BROKER_NOT_AVAILABLE: unreachable,
  UNKNOWN_TOPIC_OR_PARTITION: (message) =>
    /\bpartition \d/.test(message)
      ? `${problemOf(message)}: see "barnabas topics describe NAME"`
      : `${problemOf(message)}: see "barnabas topics list", or create it with "barnabas topics create NAME"`,
  LEADER_NOT_AVAILABLE: (message) =>
    `${problemOf(message)}: see "barnabas topics describe --unavailable", and start the brokers that it needs`,
  BROKER_ID_NOT_REGISTERED: (message) => `${problemOf(message)}: see "barnabas brokers list"`,
  INVALID_REPLICA_ASSIGNMENT: (message) =>
    message.endsWith('is not registered') ? `${message}: see "barnabas brokers list"` : message,
  GROUP_ID_NOT_FOUND: (message) => `${problemOf(message)}: see "barnabas groups list"`,
  TOPIC_ALREADY_EXISTS: (message) => `${problemOf(message)}: choose another name, or add --if-not-exists`,
};

/** Messages say what is wrong, then after a colon what to do. */
function problemOf(message: string): string {
  const at = message.indexOf(': ');
  return at === -1 ? message : message.slice(0, at);
}

export function explain(error: unknown, bootstrap: string): Explanation {
  if (error instanceof CliError) return { text: error.message, exitCode: error.exitCode, code: error.code };
  if (error instanceof Error && error.name === 'ConfigError') {
    return { text: error.message, exitCode: EXIT_USAGE, code: 'INVALID_CONFIG' };
  }
  if (isBarnabasError(error)) {
    const text = REPHRASED[error.errorName]?.(error.message, bootstrap) ?? error.message;
    return { text, exitCode: EXIT_FAILED, code: error.errorName };
  }
  return {
    text: error instanceof Error ? error.message : String(error),
    exitCode: EXIT_FAILED,
    code: systemCode(error),
  };
}

/** By its name, as above: packages are not loaded for commands that need nothing else of them. */
function isBarnabasError(error: unknown): error is BarnabasError {
  return error instanceof Error && error.name === 'BarnabasError';
}

/** ENOENT and its like. */
function systemCode(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** The line for standard error. */
export function errorLine({ text, code }: Explanation, json: boolean): string {
  if (json) return JSON.stringify({ error: { code: code ?? null, message: text } });
  const line = text.trim().replaceAll(/\s*\n\s*/g, '; ');
  return code === undefined ? `barnabas: ${line}` : `barnabas: ${line} [${code}]`;
}

/** Whether a failure carries this code from the error table. */
export function hasCode(error: unknown, code: string): boolean {
  return isBarnabasError(error) && error.errorName === code;
}
