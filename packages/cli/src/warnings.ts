/**
 * What the client warns of, as lines for the person who runs a command that goes on for long: why nothing
 * comes just now, and what to do. Commands that end soon have it in their error.
 */
import { noMetrics, silentLogger } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { systemClock, systemRandom, systemTimers } from '@barnabas/common/node';
import type { Environment } from '@barnabas/rpc';

/** The same warning is not said again so soon: what does not pass is tried many times a second. */
const AGAIN_AFTER_MS = 30_000;

export function warningEnvironment(note: (text: string) => void): Environment {
  return {
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    logger: noting(note, () => systemClock.monotonic()),
    metrics: noMetrics,
  };
}

export function noting(note: (text: string) => void, now: () => number): Logger {
  const saidAt = new Map<string, number>();
  const say: Logger['warn'] = (message, { action, error }) => {
    const at = now();
    if (at - (saidAt.get(message) ?? Number.NEGATIVE_INFINITY) < AGAIN_AFTER_MS) return;
    saidAt.set(message, at);
    const reason = error instanceof Error ? error.message : error;
    note(`warning: ${message}${typeof reason === 'string' ? ` (${reason})` : ''}: ${action}`);
  };
  const logger: Logger = { ...silentLogger, warn: say, error: say, child: () => logger };
  return logger;
}
