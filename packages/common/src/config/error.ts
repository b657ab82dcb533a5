/**
 * What is wrong with a configuration, in words that let a person repair it: the key, what was
 * given and where, what is allowed, and for an unknown key the nearest known one.
 *
 * A ConfigError lists every problem found, not only the first. At an API edge it becomes a
 * BarnabasError INVALID_CONFIG; a process that reads its own configuration prints it and ends.
 */

export interface ConfigProblem {
  readonly key: string;
  /** What was given, as text; undefined if nothing was, or if the key is sensitive. */
  readonly value?: string;
  /** What would have been accepted. */
  readonly allowed: string;
  /** Where it was given: a file, an environment variable, a flag. */
  readonly where?: string;
  /** One line with all of the above. */
  readonly text: string;
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly [ConfigProblem, ...ConfigProblem[]];

  constructor(first: ConfigProblem, ...others: ConfigProblem[]) {
    super([first, ...others].map((problem) => problem.text).join('\n'));
    this.problems = [first, ...others];
  }

  /** The key of the first problem. */
  get key(): string {
    return this.problems[0].key;
  }

  /** What the first problem was given. */
  get value(): string | undefined {
    return this.problems[0].value;
  }

  /** What the first problem's key allows. */
  get allowed(): string {
    return this.problems[0].allowed;
  }
}

/** Throws what was gathered, if anything was. */
export function throwProblems(problems: readonly ConfigProblem[]): void {
  const [first, ...others] = problems;
  if (first !== undefined) throw new ConfigError(first, ...others);
}

/** Values longer than this are cut in messages; a message is for a person. */
const SHOWN_CHARACTERS = 120;

export function shown(text: string): string {
  return JSON.stringify(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text);
}
