/**
 * Options as tables: for each its Kafka name, default, and what is allowed. A table is the one place
 * that knows an option's default and limits; the interfaces beside it say what each means.
 *
 * Whatever is not in the table, or not allowed by it, is refused when the client is made: an option
 * that is silently ignored costs its user a day.
 */
import { BarnabasError } from '@barnabas/protocol';

/** What fits into one message of rpc's default limits (16 MiB), with room for its envelope. */
export const MAX_MESSAGE_BYTES = 15 * 1024 * 1024;

/** What values an option takes. */
export interface OptionType<T> {
  /** Completes "must be …". */
  readonly allowed: string;
  accepts(value: unknown): value is T;
}

export interface OptionSpec<T> {
  /** Kafka's name of it; undefined for options that Kafka does not have. */
  readonly kafka?: string;
  readonly type: OptionType<T>;
  readonly default: T;
}

export type OptionTable<T> = { readonly [Name in keyof T]-?: OptionSpec<T[Name]> };

/** The given options, checked, with the defaults of the others. */
export function resolveOptions<T extends object>(
  owner: string,
  table: OptionTable<T>,
  given: Readonly<Partial<Record<keyof T, unknown>>>,
): Readonly<T> {
  for (const name of Object.keys(given)) if (!Object.hasOwn(table, name)) throw unknownOption(owner, table, name);
  const entries = Object.entries<OptionSpec<unknown>>(table).map(([name, spec]) => {
    const value = given[name as keyof T];
    if (value === undefined) return [name, spec.default];
    if (!spec.type.accepts(value)) throw illegalOption(owner, name, value, spec.type.allowed);
    return [name, value];
  });
  return Object.freeze(Object.fromEntries(entries)) as Readonly<T>;
}

/** For a rule between options, and for what only the owner can judge. */
export function illegalOption(owner: string, name: string, value: unknown, allowed: string): BarnabasError {
  return new BarnabasError('INVALID_CONFIG', `${owner} option ${name} must be ${allowed}, not ${shown(value)}`, {
    option: name,
  });
}

function unknownOption<T>(owner: string, table: OptionTable<T>, name: string): BarnabasError {
  const specs = Object.entries<OptionSpec<unknown>>(table);
  const byKafkaName = specs.find(([option, { kafka }]) => kafka === name || camelCase(kafka ?? option) === name);
  const nearest = byKafkaName?.[0] ?? nearestName(name, Object.keys(table));
  return new BarnabasError('INVALID_CONFIG', `unknown ${owner} option ${name}: the nearest known one is ${nearest}`, {
    option: name,
    nearest,
  });
}

function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' && value !== null ? `a ${value.constructor?.name ?? 'object'}` : String(value);
}

function camelCase(kafkaName: string): string {
  return kafkaName.replace(/[.-](\w)/g, (_, letter: string) => letter.toUpperCase());
}

function nearestName(name: string, known: readonly string[]): string {
  const ranked = known.map((option) => ({ option, distance: editDistance(name.toLowerCase(), option.toLowerCase()) }));
  ranked.sort((left, right) => left.distance - right.distance);
  return ranked[0]?.option ?? '';
}

/** Levenshtein's distance. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/** A whole number within limits; the largest allowed 32-bit number unless told otherwise. */
export function integer(min: number, max = 2 ** 31 - 1): OptionType<number> {
  return {
    allowed: `a whole number from ${min} to ${max}`,
    accepts: (value): value is number => Number.isInteger(value) && Number(value) >= min && Number(value) <= max,
  };
}

export const flag: OptionType<boolean> = {
  allowed: 'true or false',
  accepts: (value): value is boolean => typeof value === 'boolean',
};

export const text: OptionType<string> = {
  allowed: 'a text',
  accepts: (value): value is string => typeof value === 'string',
};

/** One of some fixed values. */
export function oneOf<const V extends readonly (string | number)[]>(...values: V): OptionType<V[number]> {
  return {
    allowed: `one of ${values.join(', ')}`,
    accepts: (value): value is V[number] => values.includes(value as V[number]),
  };
}

/** What the type accepts, or nothing. */
export function optional<T>(type: OptionType<T>): OptionType<T | undefined> {
  return {
    allowed: type.allowed,
    accepts: (value): value is T | undefined => value === undefined || type.accepts(value),
  };
}

/** What a test of your own accepts. */
export function such<T>(allowed: string, test: (value: unknown) => boolean): OptionType<T> {
  return { allowed, accepts: (value): value is T => test(value) };
}

/** A list of objects, for interceptors. */
export function listOfObjects<T>(): OptionType<readonly T[]> {
  return such('a list of objects', (value) => Array.isArray(value) && value.every((item) => typeof item === 'object'));
}
