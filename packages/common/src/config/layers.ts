/**
 * Where configuration values come from and which wins: flags over environment over file over
 * default. This file turns each source into texts by key; definition.ts reads the texts.
 *
 * A key that no definition knows is refused wherever it comes from, with the nearest known one.
 */
import { closest } from 'fastest-levenshtein';
import { shown, throwProblems } from './error.js';
import type { ConfigProblem } from './error.js';

/** Where a value came from, lowest precedence first. */
export const CONFIG_SOURCES = ['default', 'file', 'environment', 'flag'] as const;
export type ConfigSource = (typeof CONFIG_SOURCES)[number];

/** One source of values. `default` is for what a program decides by itself, over the defaults of the keys. */
export interface ConfigLayer {
  readonly source: ConfigSource;
  readonly values: Readonly<Record<string, unknown>>;
  /** Says where a key was given, for messages: `file /etc/barnabas.yaml`. */
  readonly where?: (key: string) => string;
}

/** A value that some layer gave, before it is read. */
export interface Assignment {
  readonly value: unknown;
  readonly source: ConfigSource;
  readonly where: string | undefined;
}

export type Assignments = ReadonlyMap<string, Assignment>;

/** "unknown key …, the nearest known key is …". */
export function unknownKey(key: string, known: Iterable<string>, where?: string): ConfigProblem {
  const names = [...known];
  const nearest = names.length === 0 ? undefined : closest(key, names);
  const allowed = nearest === undefined ? 'no keys at all' : `the nearest known key is ${nearest}`;
  return {
    key,
    allowed,
    ...(where === undefined ? {} : { where }),
    text: `unknown configuration key ${shown(key)}${where === undefined ? '' : ` in ${where}`}: ${allowed}`,
  };
}

/** Lays layers over one another by precedence and refuses keys that are not known. */
export function assignLayers(layers: readonly ConfigLayer[], known: ReadonlySet<string>): Assignments {
  const problems: ConfigProblem[] = [];
  const assignments = new Map<string, Assignment>();
  const byPrecedence = [...layers].sort((a, b) => CONFIG_SOURCES.indexOf(a.source) - CONFIG_SOURCES.indexOf(b.source));
  for (const { source, values, where } of byPrecedence) {
    for (const [key, value] of Object.entries(values)) {
      if (value === undefined) continue;
      if (known.has(key)) assignments.set(key, { value, source, where: where?.(key) });
      else problems.push(unknownKey(key, known, where?.(key)));
    }
  }
  throwProblems(problems);
  return assignments;
}

const PREFIX = 'BARNABAS_';

/** The environment variable of a key: `log.retention.ms` → `BARNABAS_LOG_RETENTION_MS`. */
export function environmentName(key: string): string {
  return PREFIX + key.replaceAll(/[.-]/g, '_').toUpperCase();
}

/**
 * What Kubernetes puts into every container for a Service whose name begins with "barnabas":
 * `BARNABAS_GATEWAY_SERVICE_HOST`, `BARNABAS_GATEWAY_PORT_7600_TCP_ADDR`, … It is not meant for us.
 */
function isServiceLink(name: string, value: string): boolean {
  if (/_SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?$/.test(name)) return true;
  if (/_PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?$/.test(name)) return true;
  return /_PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value);
}

/**
 * The layer of `BARNABAS_…` variables. A variable finds its key among the known ones, since an
 * underscore may stand for a dot. `reserved` names variables that are no keys, for example
 * BARNABAS_BOOTSTRAP.
 */
export function fromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  known: Iterable<string>,
  reserved: readonly string[] = [],
): ConfigLayer {
  const keys = new Map([...known].map((key) => [environmentName(key), key]));
  const values: Record<string, string> = {};
  const problems: ConfigProblem[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || value === undefined || reserved.includes(name)) continue;
    if (isServiceLink(name, value)) continue;
    const key = keys.get(name);
    if (key !== undefined) values[key] = value;
    else problems.push(unknownVariable(name, keys.keys()));
  }
  throwProblems(problems);
  return { source: 'environment', values, where: (key) => `environment variable ${environmentName(key)}` };
}

function unknownVariable(name: string, known: Iterable<string>): ConfigProblem {
  const names = [...known];
  const allowed = names.length === 0 ? 'no keys at all' : `the nearest known variable is ${closest(name, names)}`;
  return { key: name, allowed, where: 'environment', text: `unknown environment variable ${name}: ${allowed}` };
}

/** The layer of `key=value` flags (`--set log.retention.ms=1000`). The last one of a key wins. */
export function fromAssignments(assignments: readonly string[], flag = '--set'): ConfigLayer {
  const values: Record<string, string> = {};
  const problems: ConfigProblem[] = [];
  for (const assignment of assignments) {
    const at = assignment.indexOf('=');
    if (at > 0) values[assignment.slice(0, at).trim()] = assignment.slice(at + 1);
    else {
      const allowed = 'key=value';
      problems.push({ key: flag, value: assignment, allowed, text: `${flag} ${shown(assignment)} must be ${allowed}` });
    }
  }
  throwProblems(problems);
  return { source: 'flag', values, where: () => flag };
}

/** Dotted keys from a tree: `{log: {retention: {ms: 1}}, 'log.dir': 'x'}` has log.retention.ms and log.dir. */
export function flattenKeys(tree: Readonly<Record<string, unknown>>, where: string): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  const problems: ConfigProblem[] = [];
  const visit = (node: Readonly<Record<string, unknown>>, prefix: string) => {
    for (const [name, value] of Object.entries(node)) {
      const key = prefix + name;
      if (isTree(value)) visit(value, `${key}.`);
      else if (Object.hasOwn(values, key)) {
        const allowed = 'each key once';
        problems.push({ key, allowed, where, text: `configuration key ${key} is given twice in ${where}` });
      } else values[key] = value;
    }
  };
  visit(tree, '');
  throwProblems(problems);
  return values;
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
