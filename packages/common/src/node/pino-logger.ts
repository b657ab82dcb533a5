/**
 * The logging port over pino: one JSON object a line on the given stream.
 *
 * Lines are handed to the operating system without waiting for it: a pipe that nobody empties would
 * otherwise stop the whole process, heartbeats included. They are written out when the process ends by
 * itself, a fault included; a SIGKILL may cost the last of them. What nobody takes for long is dropped.
 */
import { pino } from 'pino';
import type { DestinationStream, Logger as Pino } from 'pino';
import type { LogFacts, Logger } from '../logger.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Of lines that standard error has not taken. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

export interface PinoLoggerOptions {
  readonly level: LogLevel;
  /** Where lines go; standard error by default, because standard output is for a command's product. */
  readonly destination?: DestinationStream;
}

export function createPinoLogger(options: PinoLoggerOptions): Logger {
  const settings = {
    level: options.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: pino.stdSerializers.err },
  };
  const standardError = () => pino.destination({ dest: 2, sync: false, maxLength: MAX_WAITING_BYTES });
  return wrap(pino(settings, options.destination ?? standardError()));
}

function wrap(target: Pino): Logger {
  return {
    debug: (message: string, facts?: LogFacts) => target.debug(facts ?? {}, message),
    info: (message: string, facts?: LogFacts) => target.info(facts ?? {}, message),
    warn: (message: string, facts: LogFacts) => target.warn(facts, message),
    error: (message: string, facts: LogFacts) => target.error(facts, message),
    child: (facts: LogFacts) => wrap(target.child(facts)),
  };
}
