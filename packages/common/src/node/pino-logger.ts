/** The logging port over pino: one JSON object a line on the given stream. */
import { pino } from 'pino';
import type { DestinationStream, Logger as Pino } from 'pino';
import type { LogFacts, Logger } from '../logger.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

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
  return wrap(pino(settings, options.destination ?? pino.destination({ dest: 2, sync: true })));
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
