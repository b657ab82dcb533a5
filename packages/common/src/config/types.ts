/**
 * The types that a configuration value can have. Whatever a value comes from (a flag, the
 * environment, YAML, a metadata record) it is text first and is read by the same rules, so that no
 * source accepts what another refuses. What a type accepts beyond its shape is a zod schema, which
 * also gives the JSON schema.
 *
 * Invariant: read(write(value)) equals value, for every value that the type accepts.
 */
import { z } from 'zod';

/** Kafka's names for the types of its configuration keys. */
export type ConfigTypeName = 'BOOLEAN' | 'STRING' | 'INT' | 'LONG' | 'DOUBLE' | 'LIST' | 'PASSWORD';

export interface ConfigType<T> {
  readonly name: ConfigTypeName;
  /** Completes the sentence "must be …". */
  readonly allowed: string;
  /** What a read value must satisfy. */
  readonly schema: z.ZodType<T>;
  /** The form that a chart's or an editor's schema checks, where it is not that of `schema`. */
  readonly jsonSchema?: z.ZodType;
  /** Reads text. May throw, or return what `schema` refuses; both mean: not allowed. */
  read(text: string): unknown;
  write(value: T): string;
}

/** Kafka's "unlimited" for LONG keys, as text and as a JavaScript number prints it. Read as the largest safe integer. */
const LONG_MAX_TEXTS: ReadonlySet<string> = new Set(['9223372036854775807', '9223372036854776000']);
const INT_MAX = 2 ** 31 - 1;

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

function bounds(what: string, { min, max }: Bounds): string {
  if (min !== undefined && max !== undefined) return `${what} from ${min} to ${max}`;
  if (min !== undefined) return `${what}, at least ${min}`;
  if (max !== undefined) return `${what}, at most ${max}`;
  return what;
}

function readWholeNumber(text: string): unknown {
  const trimmed = text.trim();
  // `+ 0` turns -0, which equals 0 but is not the same value, into 0.
  return /^[+-]?\d+$/.test(trimmed) ? Number(trimmed) + 0 : undefined;
}

/** A whole number of 32 bits. */
export function integer(limits: Bounds = {}): ConfigType<number> {
  const min = Math.max(limits.min ?? -INT_MAX - 1, -INT_MAX - 1);
  const max = Math.min(limits.max ?? INT_MAX, INT_MAX);
  return {
    name: 'INT',
    allowed: bounds('a whole number', limits),
    schema: z.number().int().min(min).max(max),
    read: readWholeNumber,
    write: String,
  };
}

/** A whole number of 64 bits, kept within JavaScript's safe integers. */
export function long(limits: Bounds = {}): ConfigType<number> {
  return {
    name: 'LONG',
    allowed: bounds('a whole number', limits),
    schema: z
      .number()
      .int()
      .min(limits.min ?? Number.MIN_SAFE_INTEGER)
      .max(limits.max ?? Number.MAX_SAFE_INTEGER),
    read: (text) => (LONG_MAX_TEXTS.has(text.trim()) ? Number.MAX_SAFE_INTEGER : readWholeNumber(text)),
    write: String,
  };
}

/** A decimal number. */
export function double(limits: Bounds = {}): ConfigType<number> {
  return {
    name: 'DOUBLE',
    allowed: bounds('a number', limits),
    schema: z
      .number()
      .min(limits.min ?? -Number.MAX_VALUE)
      .max(limits.max ?? Number.MAX_VALUE),
    read: (text) => (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()) ? Number(text.trim()) + 0 : undefined),
    write: String,
  };
}

/** `true` or `false`, and nothing that only looks like it. */
export function boolean(): ConfigType<boolean> {
  const values: ReadonlyMap<string, boolean> = new Map([
    ['true', true],
    ['false', false],
  ]);
  return {
    name: 'BOOLEAN',
    allowed: 'true or false',
    schema: z.boolean(),
    read: (text) => values.get(text.trim().toLowerCase()),
    write: String,
  };
}

/** Text. `allowed` says what `pattern` means. */
export function string(
  options: { readonly minLength?: number; readonly pattern?: RegExp; readonly allowed?: string } = {},
): ConfigType<string> {
  const minLength = options.minLength ?? 0;
  const schema = z.string().min(minLength);
  return {
    name: 'STRING',
    allowed: options.allowed ?? (minLength > 0 ? 'a text that is not empty' : 'a text'),
    schema: options.pattern === undefined ? schema : schema.regex(options.pattern),
    read: (text) => text,
    write: (value) => value,
  };
}

/** A secret. Its key must be marked sensitive, which keeps it out of messages and descriptions. */
export function password(): ConfigType<string> {
  return { ...string(), name: 'PASSWORD' };
}

/** One of a fixed set of words. */
export function enumeration<const V extends string>(values: readonly [V, ...V[]]): ConfigType<V> {
  return {
    name: 'STRING',
    allowed: values.length === 1 ? values[0] : `one of ${values.join(', ')}`,
    schema: z.enum(values),
    read: (text) => text.trim(),
    write: (value) => value,
  };
}

/** Values of one type with commas between them; an empty text is an empty list. */
export function list<T>(
  item: ConfigType<T>,
  options: { readonly min?: number; readonly unique?: boolean } = {},
): ConfigType<readonly T[]> {
  const min = options.min ?? 0;
  const items = z.array(item.schema).min(min);
  const distinct = (values: readonly T[]) => new Set(values.map((value) => item.write(value))).size === values.length;
  return {
    name: 'LIST',
    allowed: `a comma-separated list${min > 0 ? ` of at least ${min}` : ''}, each ${item.allowed}`,
    schema: options.unique === true ? items.refine(distinct) : items,
    jsonSchema: z.array(item.jsonSchema ?? item.schema).min(min),
    read: (text) => (text.trim() === '' ? [] : text.split(',').map((part) => item.read(part.trim()))),
    write: (values) => values.map((value) => item.write(value)).join(','),
  };
}

/** A type of your own: `read` throws or returns undefined for text that it does not accept. */
export function custom<T>(options: {
  readonly name?: ConfigTypeName;
  readonly allowed: string;
  readonly read: (text: string) => T | undefined;
  readonly write: (value: T) => string;
}): ConfigType<T> {
  return {
    name: options.name ?? 'STRING',
    allowed: options.allowed,
    schema: z.custom<T>((value) => value !== undefined),
    jsonSchema: z.string(),
    read: options.read,
    write: options.write,
  };
}
