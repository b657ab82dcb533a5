/** Where the log lines of a simulated process go: into the trace. Whatever has no name there is a fault. */
import type { Logger } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import { StoreError } from '@barnabas/store';
import type { Stage } from '../../kernel/stage.js';

type Facts = Readonly<Record<string, unknown>>;

export function simulatedLogger(stage: Stage, name: string): Logger {
  const note = (level: string) => (message: string, facts?: Facts) => {
    const error = facts?.error;
    const reason = error instanceof Error ? ` (${error.message})` : '';
    stage.trace.note(`  ${name} ${level}: ${message}${reason}`);
    if (level === 'error') stage.tally.count(`error: ${message}`);
    if (error instanceof Error && !(error instanceof BarnabasError || error instanceof StoreError)) stage.fail(error);
  };
  const logger: Logger = {
    debug: () => {},
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
    child: () => logger,
  };
  return logger;
}
