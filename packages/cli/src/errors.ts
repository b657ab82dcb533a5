/**
 * From whatever a command failed with to what its user reads: one line that says what is wrong and
 * what to do, with the typed code, and an exit code. No stack traces, unless BARNABAS_DEBUG is set.
 */
import { ConfigError } from '@barnabas/common/config';
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

/** What the user can do, where a code's own text does not say it. */
type Hints = Partial<Record<ErrorName, (bootstrap: string) => string>>;

const unreachable = (bootstrap: string) =>
  `nothing answers at ${bootstrap}: start a node with "barnabas start", or name another with --bootstrap host:port`;

const HINTS: Hints = {
  NETWORK_EXCEPTION: unreachable,
  BROKER_NOT_AVAILABLE: unreachable,
  UNKNOWN_TOPIC_OR_PARTITION: () => 'see "barnabas topics list", or create it with "barnabas topics create NAME"',
  TOPIC_ALREADY_EXISTS: () => 'choose another name, or add --if-not-exists',
  NOT_ENOUGH_REPLICAS: () => 'see "barnabas topics describe" for the in-sync replicas, or lower min.insync.replicas',
  MESSAGE_TOO_LARGE: () => 'send less at once, or raise max.message.bytes of the topic',
};

export function explain(error: unknown, bootstrap: string): Explanation {
  if (error instanceof CliError) return { text: error.message, exitCode: error.exitCode, code: error.code };
  if (error instanceof ConfigError) {
    return { text: error.message, exitCode: EXIT_USAGE, code: 'INVALID_CONFIG' };
  }
  if (isBarnabasError(error)) {
    const hint = HINTS[error.errorName]?.(bootstrap);
    const text = hint === undefined ? error.message : `${error.message}: ${hint}`;
    return { text, exitCode: EXIT_FAILED, code: error.errorName };
  }
  return {
    text: error instanceof Error ? error.message : String(error),
    exitCode: EXIT_FAILED,
    code: systemCode(error),
  };
}

/** By its shape: the protocol package is not loaded for commands that need nothing of it. */
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
