/** Looking again and again until something is done: for commands with --wait. Ctrl-C ends the looking, not the thing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandContext } from '../command-context.js';
import { CliError, EXIT_INTERRUPTED } from '../errors.js';
import { startProgressBar } from '../terminal/progress-bar.js';

export interface Looked<T> {
  /** What was found, once there is nothing left to wait for; undefined until then. */
  readonly result?: T;
  readonly done: number;
  readonly total: number;
  /** A few words for the person who waits. */
  readonly text: string;
}

export interface WaitOptions {
  readonly intervalMs: number;
  /** What goes on all the same after Ctrl-C, and how to see how far it is. */
  readonly interrupted: string;
}

export async function waitUntilDone<T>(
  context: CommandContext,
  look: () => Promise<Looked<T>>,
  { intervalMs, interrupted }: WaitOptions,
): Promise<T> {
  const { interrupted: signal } = context.terminal;
  const bar = await startProgressBar(context.terminal);
  try {
    for (;;) {
      const { result, done, total, text } = await look();
      bar.update(done, total, text);
      if (result !== undefined) return result;
      // An interrupted sleep rejects: what ends the loop is the signal below.
      if (!signal.aborted) await sleep(intervalMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) throw new CliError(interrupted, EXIT_INTERRUPTED);
    }
  } finally {
    bar.stop();
  }
}
