/**
 * A configuration as a whole: its keys with their types, defaults and meaning, and how given values
 * become a checked, frozen object under Kafka's own key names.
 *
 * Invariants:
 *   C1  a parsed configuration has a value of the right type for every key of its definition
 *   C2  the text of a sensitive value appears in no message, description or schema
 *   C3  every parsed configuration remembers where each of its values came from (`entries`)
 */
import { z } from 'zod';
import { shown, throwProblems } from './error.js';
import type { ConfigProblem } from './error.js';
import { assignLayers, unknownKey } from './layers.js';
import type { Assignment, Assignments, ConfigLayer, ConfigSource } from './layers.js';
import type { ConfigType, ConfigTypeName } from './types.js';

interface KeyCommon {
  /** One or two sentences for the reference page. */
  readonly doc: string;
  /** May be changed while the node runs. */
  readonly dynamic?: boolean;
  /** A secret: never shown. */
  readonly sensitive?: boolean;
}

export interface ConfigKey<V> extends KeyCommon {
  // The value type differs by key, so a table of keys can only hold it as "some type".
  readonly type: ConfigType<NonNullable<V>>;
  /** Has no default: whoever parses must give it. */
  readonly required: boolean;
  readonly defaultValue: V | undefined;
}

/** A key with a default; null where "not set" is a value of its own, as Kafka's broker.rack. */
export function key<T>(type: ConfigType<T>, options: KeyCommon & { readonly default: NoInfer<T> }): ConfigKey<T>;
export function key<T>(type: ConfigType<T>, options: KeyCommon & { readonly default: null }): ConfigKey<T | null>;
/** A key that must be given. */
export function key<T>(type: ConfigType<T>, options: KeyCommon & { readonly required: true }): ConfigKey<T>;
export function key<T>(
  type: ConfigType<T>,
  options: KeyCommon & { readonly default?: T | null; readonly required?: true },
): ConfigKey<T | null> {
  const { default: defaultValue, required = false, ...common } = options;
  return { ...common, type: type as ConfigType<NonNullable<T>>, required, defaultValue };
}

// Keys of different value types in one table; nothing but the key's own type reads or writes its values.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AnyKey = ConfigKey<any>;
export type ConfigKeys = Readonly<Record<string, AnyKey>>;

/** The values of a table of keys, under the same names. */
export type ValuesOf<K extends ConfigKeys> = {
  readonly [Name in keyof K]: K[Name] extends ConfigKey<infer V> ? V : never;
};
/** `ConfigOf<typeof brokerConfig>`: the type of a parsed configuration. */
export type ConfigOf<D> = D extends ConfigDefinition<infer K> ? ValuesOf<K> : never;

/** A rule between keys, checked when a whole configuration is parsed. */
export interface ConfigRule<V> {
  /** The key that a message names. */
  readonly key: keyof V & string;
  readonly holds: (config: V) => boolean;
  /** Completes "must be …". */
  readonly allowed: string;
}

/** One key of a parsed configuration, for DescribeConfigs and for people. */
export interface ConfigEntry {
  readonly key: string;
  /** Null if not set, or if the key is sensitive. */
  readonly value: string | null;
  readonly source: ConfigSource;
  readonly type: ConfigTypeName;
  readonly dynamic: boolean;
  readonly sensitive: boolean;
  readonly doc: string;
}

/** One key of a definition, for the reference page. */
export interface KeyDescription {
  readonly key: string;
  readonly type: ConfigTypeName;
  /** Null if there is none or it is "not set". */
  readonly defaultValue: string | null;
  readonly required: boolean;
  readonly allowed: string;
  readonly dynamic: boolean;
  readonly sensitive: boolean;
  readonly doc: string;
}

export class ConfigDefinition<K extends ConfigKeys> {
  readonly names: ReadonlySet<string>;
  readonly #keys: K;
  readonly #rules: readonly ConfigRule<ValuesOf<K>>[];
  readonly #sources = new WeakMap<object, ReadonlyMap<string, ConfigSource>>();

  constructor(keys: K, rules: readonly ConfigRule<ValuesOf<K>>[]) {
    this.#keys = keys;
    this.#rules = rules;
    this.names = new Set(Object.keys(keys));
  }

  has(name: string): name is keyof K & string {
    return this.names.has(name);
  }

  /** A whole configuration from values by key; keys that are absent get their defaults. */
  parse(values: Readonly<Record<string, unknown>>): ValuesOf<K> {
    return this.resolve(assignLayers([{ source: 'flag', values }], this.names));
  }

  /** A whole configuration from several sources; see layers.ts for which wins. */
  parseLayers(layers: readonly ConfigLayer[]): ValuesOf<K> {
    return this.resolve(assignLayers(layers, this.names));
  }

  /** A whole configuration from assigned values, of which those of other definitions are left out. */
  resolve(assignments: Assignments): ValuesOf<K> {
    const problems: ConfigProblem[] = [];
    const values: Record<string, unknown> = {};
    const sources = new Map<string, ConfigSource>();
    for (const [name, definition] of Object.entries(this.#keys)) {
      const assignment = assignments.get(name);
      if (assignment !== undefined) values[name] = readValue(name, definition, assignment, problems);
      else if (definition.required) problems.push(missing(name, definition));
      else values[name] = definition.defaultValue;
      sources.set(name, assignment?.source ?? 'default');
    }
    throwProblems(problems);
    const config = Object.freeze(values) as ValuesOf<K>;
    this.#checkRules(config, assignments);
    this.#sources.set(config, sources);
    return config;
  }

  /** Only the keys that are given, read and checked: the overrides of a topic, for example. */
  parsePartial(values: Readonly<Record<string, unknown>>): Partial<ValuesOf<K>> {
    const problems: ConfigProblem[] = [];
    const result: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) continue;
      if (!this.has(name)) problems.push(unknownKey(name, this.names));
      else result[name] = readValue(name, this.#key(name), { value, source: 'flag', where: undefined }, problems);
    }
    throwProblems(problems);
    return Object.freeze(result) as Partial<ValuesOf<K>>;
  }

  /** One value, read and checked. */
  parseValue<N extends keyof K & string>(name: N, value: unknown): ValuesOf<K>[N] {
    const problems: ConfigProblem[] = [];
    const read = readValue(name, this.#key(name), { value, source: 'flag', where: undefined }, problems);
    throwProblems(problems);
    return read as ValuesOf<K>[N];
  }

  /** A value as the text that parses back to it; null for "not set". Not redacted. */
  format<N extends keyof K & string>(name: N, value: ValuesOf<K>[N]): string | null {
    return value === null ? null : this.#key(name).type.write(value);
  }

  /** Every key with its value and where that came from; sensitive values are left out. */
  entries(config: ValuesOf<K>): readonly ConfigEntry[] {
    const sources = this.#sources.get(config);
    return this.describe().map(({ key: name, type, dynamic, sensitive, doc }) => {
      const value = this.format(name, config[name] as ValuesOf<K>[typeof name]);
      // A copy of a parsed configuration has lost its sources; then only "given or not" can be told.
      const source = sources?.get(name) ?? (this.#isDefault(name, value) ? 'default' : 'file');
      return { key: name, value: sensitive ? null : value, source, type, dynamic, sensitive, doc };
    });
  }

  /** Every key, sorted, for documentation. */
  describe(): readonly KeyDescription[] {
    return [...this.names].sort().map((name) => {
      const { type, defaultValue, required, dynamic = false, sensitive = false, doc } = this.#key(name);
      const shownDefault = defaultValue === null || defaultValue === undefined || sensitive;
      return {
        key: name,
        type: type.name,
        defaultValue: shownDefault ? null : type.write(defaultValue),
        required,
        allowed: type.allowed,
        dynamic,
        sensitive,
        doc,
      };
    });
  }

  /** A JSON schema (draft 7, which Helm reads) of an object with these keys, dotted. */
  jsonSchema(): Record<string, unknown> {
    const properties: Record<string, unknown> = {};
    for (const description of this.describe()) {
      const { type, defaultValue } = this.#key(description.key);
      const { $schema: _, ...shape } = z.toJSONSchema(type.jsonSchema ?? type.schema, { target: 'draft-7' });
      const described = { ...shape, description: `${description.doc} Must be ${description.allowed}.` };
      const isPlain = type.jsonSchema === undefined && !description.sensitive && defaultValue !== undefined;
      properties[description.key] = isPlain ? { ...described, default: defaultValue } : described;
    }
    const required = this.describe().filter((description) => description.required);
    return {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      additionalProperties: false,
      properties,
      ...(required.length === 0 ? {} : { required: required.map((description) => description.key) }),
    };
  }

  #key(name: string): AnyKey {
    const definition = this.#keys[name];
    if (definition === undefined) throwProblems([unknownKey(name, this.names)]);
    return definition as AnyKey;
  }

  #isDefault(name: string, value: string | null): boolean {
    const { type, defaultValue } = this.#key(name);
    return value === (defaultValue === null || defaultValue === undefined ? null : type.write(defaultValue));
  }

  #checkRules(config: ValuesOf<K>, assignments: Assignments): void {
    const broken = this.#rules.filter((rule) => !rule.holds(config));
    throwProblems(
      broken.map((rule) => {
        const value = this.format(rule.key, config[rule.key] as ValuesOf<K>[typeof rule.key]) ?? 'null';
        return notAllowed(rule.key, this.#key(rule.key), value, rule.allowed, assignments.get(rule.key)?.where);
      }),
    );
  }
}

/** Makes a definition from a table of keys and rules between them. */
export function defineConfig<const K extends ConfigKeys>(
  keys: K,
  rules: readonly ConfigRule<ValuesOf<K>>[] = [],
): ConfigDefinition<K> {
  return new ConfigDefinition(keys, rules);
}

/** A given value as text, or null for "not set"; undefined if it is of a kind that no key takes. */
function toText(value: unknown, type: ConfigType<unknown>): string | null | undefined {
  if (value === null) return null;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object' && typeof item !== 'undefined')) {
    return value.join(',');
  }
  try {
    // Not text, so perhaps a value that was read before and is parsed again.
    return type.write(value);
  } catch {
    return undefined;
  }
}

function readValue(name: string, definition: AnyKey, assignment: Assignment, problems: ConfigProblem[]): unknown {
  const { type } = definition;
  const text = toText(assignment.value, type);
  if (definition.defaultValue === null && (text === null || text === '')) return null;
  const result = type.schema.safeParse(text === null || text === undefined ? undefined : attempt(type, text));
  if (result.success) return result.data;
  const given = text === null ? 'null' : (text ?? JSON.stringify(assignment.value) ?? String(assignment.value));
  problems.push(notAllowed(name, definition, given, type.allowed, assignment.where));
  return undefined;
}

function attempt(type: ConfigType<unknown>, text: string): unknown {
  try {
    return type.read(text);
  } catch {
    return undefined;
  }
}

function notAllowed(
  name: string,
  definition: AnyKey,
  value: string,
  allowed: string,
  where: string | undefined,
): ConfigProblem {
  const given = definition.sensitive === true ? 'what was given (hidden) is not' : `${shown(value)} is not`;
  const place = where === undefined ? '' : ` (${where})`;
  return {
    key: name,
    ...(definition.sensitive === true ? {} : { value }),
    allowed,
    ...(where === undefined ? {} : { where }),
    text: `configuration key ${name} must be ${allowed}: ${given}${place}`,
  };
}

function missing(name: string, definition: AnyKey): ConfigProblem {
  const { allowed } = definition.type;
  return { key: name, allowed, text: `configuration key ${name} must be given: ${allowed}` };
}
