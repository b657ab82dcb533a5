/**
 * What a command sees of the process it runs in, so that tests can run commands in their own
 * process. Only processTerminal() touches `process`.
 */
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';

export interface Terminal {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by the first Ctrl-C or SIGTERM: the command ends in good order. */
  readonly interrupted: AbortSignal;
  /** A person watches standard output, or standard error. */
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
}

export interface ProcessTerminal extends Terminal {
  /** Gives the signals back to their default. */
  release(): void;
}

/** The real process. The first SIGINT or SIGTERM aborts `interrupted`; the second ends the process at once. */
export function processTerminal(): ProcessTerminal {
  const interruption = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (interruption.signal.aborted) process.exit(128 + constants.signals[signal]);
    interruption.abort(signal);
  };
  const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  for (const signal of signals) process.on(signal, onSignal);
  // A closed standard error must not end a command with an exception: there is nobody to tell.
  process.stderr.on('error', ignore);
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
    interrupted: interruption.signal,
    stdoutIsTerminal: process.stdout.isTTY,
    stderrIsTerminal: process.stderr.isTTY,
    release() {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}

function ignore(): void {}
