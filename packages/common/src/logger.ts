/**
 * The logging port. A message is a fixed sentence for a person; what varies goes into facts.
 * warn and error say what an operator can do (`action`).
 */
export type LogFacts = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, facts?: LogFacts): void;
  info(message: string, facts?: LogFacts): void;
  warn(message: string, facts: LogFacts & { readonly action: string }): void;
  error(message: string, facts: LogFacts & { readonly action: string; readonly error?: unknown }): void;
  /** A logger that adds `facts` to every line, for example {role: 'broker', nodeId: 1}. */
  child(facts: LogFacts): Logger;
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child() {
    return silentLogger;
  },
};
