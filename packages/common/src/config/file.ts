/**
 * Reads a configuration file. Keys may be dotted or nested, as the writer likes. Scalars stay text,
 * so that a value in a file is read by the same rules as one in the environment (and 007 or 1.10
 * mean what they say).
 */
import { readFileSync } from 'node:fs';
import type * as Yaml from 'yaml';
import { ConfigError } from './error.js';
import { flattenKeys } from './layers.js';
import type { ConfigLayer } from './layers.js';

/** Loaded when a file is read: it takes longer to load than everything else that a client needs of common. */
function yaml(): typeof Yaml {
  return require('yaml') as typeof Yaml;
}

/** The layer of a YAML (or JSON) file. Throws a ConfigError that names the file. */
export function loadYaml(file: string): ConfigLayer {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw fileError(file, code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? String(error)})`);
  }
  return parseYaml(text, file);
}

/** The same from text; `name` is used in messages. */
export function parseYaml(text: string, name: string): ConfigLayer {
  const document = yaml().parseDocument(text, { schema: 'failsafe', prettyErrors: true });
  const [problem] = document.errors;
  if (problem !== undefined) throw fileError(name, `is not YAML: ${problem.message.split('\n')[0] ?? ''}`);
  const where = `file ${name}`;
  let tree: unknown;
  try {
    tree = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw fileError(name, `is not usable YAML: ${String(error)}`);
  }
  if (tree === null || tree === undefined || tree === '') return { source: 'file', values: {}, where: () => where };
  if (typeof tree !== 'object' || Array.isArray(tree)) throw fileError(name, 'must hold keys and values');
  const values = flattenKeys(tree as Record<string, unknown>, where);
  for (const [key, value] of Object.entries(values)) if (value === 'null' || value === '~') values[key] = null;
  return { source: 'file', values, where: () => where };
}

function fileError(file: string, problem: string): ConfigError {
  return new ConfigError({
    key: 'file',
    value: file,
    allowed: 'a YAML file of configuration keys',
    text: `configuration file ${file} ${problem}`,
  });
}
