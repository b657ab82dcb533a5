import fc from 'fast-check';
import {
  ConfigError,
  boolean,
  defineConfig,
  double,
  enumeration,
  fromAssignments,
  fromEnvironment,
  integer,
  key,
  list,
  long,
  password,
  string,
} from './index.js';
import type { ConfigOf } from './index.js';

const definition = defineConfig(
  {
    'node.id': key(integer({ min: 0 }), { required: true, doc: 'The id of this node.' }),
    'log.retention.ms': key(long({ min: -1 }), {
      default: 604_800_000,
      doc: 'How long records are kept.',
      dynamic: true,
    }),
    'log.segment.ratio': key(double({ min: 0, max: 1 }), { default: 0.5, doc: 'A ratio.' }),
    'auto.create.topics.enable': key(boolean(), { default: true, doc: 'Whether topics appear on first use.' }),
    'cleanup.policy': key(list(enumeration(['delete', 'compact']), { min: 1, unique: true }), {
      default: ['delete'],
      doc: 'What happens to old records.',
    }),
    'compression.type': key(enumeration(['producer', 'gzip']), { default: 'producer', doc: 'Compression.' }),
    'broker.rack': key(string(), { default: null, doc: 'The rack.' }),
    'ssl.key.password': key(password(), { default: null, doc: 'A secret.', sensitive: true }),
    'ssl.pin': key(integer({ min: 0, max: 9999 }), { default: null, doc: 'A secret number.', sensitive: true }),
    'fetch.min.bytes': key(integer({ min: 1 }), { default: 1, doc: 'Least.' }),
    'fetch.max.bytes': key(integer({ min: 1 }), { default: 100, doc: 'Most.' }),
  },
  [
    {
      key: 'fetch.min.bytes',
      holds: (config) => config['fetch.min.bytes'] <= config['fetch.max.bytes'],
      allowed: 'at most fetch.max.bytes',
    },
  ],
);
type Config = ConfigOf<typeof definition>;

const arbitraryValues: fc.Arbitrary<Config> = fc.record({
  'node.id': fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  'log.retention.ms': fc.maxSafeInteger().filter((value) => value >= -1),
  'log.segment.ratio': fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0),
  'auto.create.topics.enable': fc.boolean(),
  'cleanup.policy': fc.subarray<'delete' | 'compact'>(['delete', 'compact'], { minLength: 1 }),
  'compression.type': fc.constantFrom('producer', 'gzip'),
  'broker.rack': fc.option(fc.string({ minLength: 1 })),
  'ssl.key.password': fc.option(fc.string({ minLength: 1 })),
  'ssl.pin': fc.option(fc.integer({ min: 0, max: 9999 })),
  'fetch.min.bytes': fc.integer({ min: 1, max: 1000 }),
  'fetch.max.bytes': fc.integer({ min: 1000, max: 2 ** 31 - 1 }),
});

function failure(action: () => unknown): ConfigError {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('expected a ConfigError');
}

describe('parse', () => {
  test('gives defaults for what is absent, with their types', () => {
    const config: Config = definition.parse({ 'node.id': 1 });
    const retention: number = config['log.retention.ms'];
    const policies: readonly ('delete' | 'compact')[] = config['cleanup.policy'];
    const rack: string | null = config['broker.rack'];
    expect([retention, policies, rack]).toEqual([604_800_000, ['delete'], null]);
    expect(Object.isFrozen(config)).toBe(true);
  });

  test('reads text and typed values alike, and what it wrote', () => {
    fc.assert(
      fc.property(arbitraryValues, (values) => {
        const fromTyped = definition.parse(values);
        expect(fromTyped).toEqual(values);
        const texts: Record<string, string | null> = {};
        for (const name of definition.names) {
          if (definition.has(name)) texts[name] = definition.format(name, values[name]);
        }
        expect(definition.parse(texts)).toEqual(values);
        expect(definition.parse(fromTyped)).toEqual(values);
      }),
    );
  });

  test('never throws anything but a ConfigError, whatever it is given', () => {
    const names = [...definition.names];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), fc.anything()), (values) => {
        try {
          definition.parse({ 'node.id': 1, ...values });
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ['log.retention.ms', '-2'],
    ['log.retention.ms', '1.5'],
    ['log.retention.ms', ''],
    ['log.retention.ms', '1e3'],
    ['log.retention.ms', 'Infinity'],
    ['log.retention.ms', '9007199254740993'],
    ['log.retention.ms', null],
    ['log.retention.ms', {}],
    ['node.id', '4294967296'],
    ['auto.create.topics.enable', 'yes'],
    ['auto.create.topics.enable', 1],
    ['cleanup.policy', ''],
    ['cleanup.policy', 'delete,delete'],
    ['cleanup.policy', 'delete,shred'],
    ['log.segment.ratio', '1.01'],
    ['log.segment.ratio', 'NaN'],
    ['compression.type', 'GZIP'],
  ])('refuses %s = %j', (name, value) => {
    const error = failure(() => definition.parse({ 'node.id': 1, [name]: value }));
    expect(error.key).toBe(name);
    expect(error.message).toContain(`configuration key ${name} must be`);
  });

  test("reads Kafka's Long.MAX_VALUE as unlimited, as text and as a number", () => {
    for (const value of ['9223372036854775807', 2 ** 63]) {
      expect(definition.parse({ 'node.id': 1, 'log.retention.ms': value })['log.retention.ms']).toBe(
        Number.MAX_SAFE_INTEGER,
      );
    }
  });

  test('names key, value, and what is allowed', () => {
    const error = failure(() => definition.parse({ 'node.id': 1, 'log.retention.ms': 'soon' }));
    expect(error.message).toBe('configuration key log.retention.ms must be a whole number, at least -1: "soon" is not');
    expect(error.problems[0]).toMatchObject({ key: 'log.retention.ms', value: 'soon' });
  });

  test('reports every problem at once', () => {
    const error = failure(() => definition.parse({ 'log.retention.ms': 'soon', 'compression.type': 'rar' }));
    expect(error.problems.map((problem) => problem.key)).toEqual(['node.id', 'log.retention.ms', 'compression.type']);
  });

  test('refuses an unknown key with the nearest known one', () => {
    const error = failure(() => definition.parse({ 'node.id': 1, 'log.retention.msec': 1 }));
    expect(error.message).toBe(
      'unknown configuration key "log.retention.msec": the nearest known key is log.retention.ms',
    );
  });

  test('checks rules between keys', () => {
    const error = failure(() => definition.parse({ 'node.id': 1, 'fetch.min.bytes': 101 }));
    expect(error.message).toBe('configuration key fetch.min.bytes must be at most fetch.max.bytes: "101" is not');
  });

  test('no inherited name is a key', () => {
    for (const name of ['constructor', '__proto__x', 'toString']) {
      expect(failure(() => definition.parse({ 'node.id': 1, [name]: '1' })).key).toBe(name);
      expect(definition.has(name)).toBe(false);
    }
  });
});

describe('secrets', () => {
  test('appear in no error, entry, description or schema', () => {
    const error = failure(() => definition.parse({ 'node.id': 1, 'ssl.pin': 'hunter2' }));
    expect(error.message).toContain('ssl.pin');
    expect(JSON.stringify([error.message, error.problems])).not.toContain('hunter2');

    const config = definition.parse({ 'node.id': 1, 'ssl.key.password': 'hunter2', 'ssl.pin': 4711 });
    const shown = JSON.stringify([definition.entries(config), definition.describe(), definition.jsonSchema()]);
    expect(shown).not.toMatch(/hunter2|4711/);
    expect(definition.entries(config).find((entry) => entry.key === 'ssl.pin')).toMatchObject({
      value: null,
      sensitive: true,
      source: 'flag',
    });
  });
});

describe('precedence', () => {
  test('flags win over environment over file over default, and each value keeps its source', () => {
    const sources = ['file', 'environment', 'flag'] as const;
    fc.assert(
      fc.property(fc.shuffledSubarray([...sources]), (given) => {
        const layers = given.map((source) => ({
          source,
          values: { 'log.retention.ms': String(sources.indexOf(source)) },
        }));
        const config = definition.parseLayers([...layers, { source: 'file', values: { 'node.id': '1' } }]);
        const winner = [...sources].reverse().find((source) => given.includes(source)) ?? 'default';
        const entry = definition.entries(config).find(({ key: name }) => name === 'log.retention.ms');
        expect(entry?.source).toBe(winner);
        expect(entry?.value).toBe(winner === 'default' ? '604800000' : String(sources.indexOf(winner)));
      }),
    );
  });

  test('errors say where the value was given', () => {
    const environment = fromEnvironment({ BARNABAS_LOG_RETENTION_MS: 'x' }, definition.names);
    const flags = fromAssignments(['compression.type=rar', 'node.id=1']);
    const error = failure(() => definition.parseLayers([environment, flags]));
    expect(error.message).toContain('"x" is not (environment variable BARNABAS_LOG_RETENTION_MS)');
    expect(error.message).toContain('"rar" is not (--set)');
  });
});

describe('partial', () => {
  test('reads only what is given', () => {
    expect(definition.parsePartial({ 'log.retention.ms': '5' })).toEqual({ 'log.retention.ms': 5 });
    expect(() => definition.parsePartial({ 'log.retention.m': '5' })).toThrow('nearest known key is log.retention.ms');
    expect(definition.parseValue('cleanup.policy', 'compact, delete')).toEqual(['compact', 'delete']);
  });
});

describe('JSON schema', () => {
  test('has every key with type, bounds, default and description', () => {
    const schema = definition.jsonSchema();
    expect(schema).toMatchObject({
      $schema: 'http://json-schema.org/draft-07/schema#',
      additionalProperties: false,
      required: ['node.id'],
      properties: {
        'log.retention.ms': { type: 'integer', minimum: -1, default: 604_800_000 },
        'compression.type': { type: 'string', enum: ['producer', 'gzip'] },
        'auto.create.topics.enable': { type: 'boolean' },
        'cleanup.policy': { type: 'array', minItems: 1 },
      },
    });
    expect(Object.keys(schema['properties'] as object).sort()).toEqual([...definition.names].sort());
  });
});
