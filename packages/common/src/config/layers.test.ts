import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { environmentName, flattenKeys, fromAssignments, fromEnvironment } from './index.js';
import { loadYaml, parseYaml } from './file.js';

const known = ['log.retention.ms', 'log.dir', 'node.id', 'listeners', 'http.port', 'client_rack'];

describe('environment', () => {
  test('a variable finds its key, wherever dots and underscores stand', () => {
    fc.assert(
      fc.property(fc.subarray(known), (keys) => {
        const environment = Object.fromEntries(keys.map((key) => [environmentName(key), `value of ${key}`]));
        const { values } = fromEnvironment({ PATH: '/bin', ...environment }, known);
        expect(values).toEqual(Object.fromEntries(keys.map((key) => [key, `value of ${key}`])));
      }),
    );
  });

  test('an unknown variable is refused with the nearest known one', () => {
    expect(() => fromEnvironment({ BARNABAS_LOG_RETENTION_MSEC: '1' }, known)).toThrow(
      'unknown environment variable BARNABAS_LOG_RETENTION_MSEC: the nearest known variable is BARNABAS_LOG_RETENTION_MS',
    );
    expect(fromEnvironment({ BARNABAS_BOOTSTRAP: 'x:1' }, known, ['BARNABAS_BOOTSTRAP']).values).toEqual({});
  });

  test('what Kubernetes sets for a service called barnabas is left alone, but a key is not', () => {
    const links = {
      BARNABAS_SERVICE_HOST: '10.0.0.1',
      BARNABAS_SERVICE_PORT: '7600',
      BARNABAS_SERVICE_PORT_GRPC: '7600',
      BARNABAS_PORT: 'tcp://10.0.0.1:7600',
      BARNABAS_PORT_7600_TCP: 'tcp://10.0.0.1:7600',
      BARNABAS_GATEWAY_PORT_7600_TCP_ADDR: '10.0.0.1',
      BARNABAS_HTTP_PORT: 'tcp://10.0.0.1:7680',
    };
    expect(fromEnvironment(links, known).values).toEqual({});
    expect(fromEnvironment({ BARNABAS_HTTP_PORT: '7680' }, known).values).toEqual({ 'http.port': '7680' });
  });
});

describe('assignments', () => {
  test('split at the first equals sign; the last of a key wins', () => {
    expect(fromAssignments(['a=1', 'b==2=', 'a=3', 'c=']).values).toEqual({ a: '3', b: '=2=', c: '' });
  });

  test.each(['a', '=1', ''])('refuses %j', (text) => {
    expect(() => fromAssignments([text])).toThrow('must be key=value');
  });
});

describe('YAML', () => {
  test('nested and dotted keys are the same', () => {
    const nested = parseYaml('log:\n  retention:\n    ms: 5\n  dir: /x\nnode.id: 1\n', 'f');
    const dotted = parseYaml('log.retention.ms: 5\nlog.dir: /x\nnode:\n  id: 1\n', 'f');
    expect(nested.values).toEqual({ 'log.retention.ms': '5', 'log.dir': '/x', 'node.id': '1' });
    expect(dotted.values).toEqual(nested.values);
  });

  test('any nesting of dotted keys flattens to the same keys', () => {
    const segments = fc.array(fc.stringMatching(/^[a-z]{1,3}$/), { minLength: 1, maxLength: 4 });
    const keys = fc.uniqueArray(segments, { selector: (parts) => parts.join('.'), maxLength: 8 });
    fc.assert(
      fc.property(keys, fc.infiniteStream(fc.nat(3)), (paths, cuts) => {
        // No key may be the beginning of another: one of the two could not be nested.
        const names = paths.map((parts) => parts.join('.'));
        fc.pre(!names.some((name) => names.some((other) => other.startsWith(`${name}.`))));
        const tree: Record<string, unknown> = {};
        for (const parts of paths) {
          let node = tree;
          let rest = parts;
          for (let cut = cuts.next().value; rest.length > 1 && cut > 0; cut = cuts.next().value) {
            const head = rest.slice(0, Math.min(cut, rest.length - 1)).join('.');
            const next = (node[head] ??= {}) as Record<string, unknown>;
            node = next;
            rest = rest.slice(Math.min(cut, rest.length - 1));
          }
          node[rest.join('.')] = parts.join('.');
        }
        expect(flattenKeys(tree, 'test')).toEqual(Object.fromEntries(names.map((name) => [name, name])));
      }),
    );
  });

  test('scalars stay as they were written; lists and null are kept', () => {
    const { values } = parseYaml('a: 9223372036854775807\nb: 1.10\nc: [x, y]\nd: ~\ne: yes\nf: "null"\n', 'f');
    expect(values).toEqual({ a: '9223372036854775807', b: '1.10', c: ['x', 'y'], d: null, e: 'yes', f: null });
  });

  test.each(['', '# only a comment\n', '---\n'])('%j has no keys', (text) => {
    expect(parseYaml(text, 'f').values).toEqual({});
  });

  test.each([
    ['a: [1', 'is not YAML'],
    ['a: 1\na: 2', 'is not YAML'],
    ['a:\n  b: 1\na.b: 2', 'configuration key a.b is given twice in file /etc/b.yaml'],
    ['- a', 'must hold keys and values'],
    ['just text', 'must hold keys and values'],
  ])('refuses %j', (text, message) => {
    expect(() => parseYaml(text, '/etc/b.yaml')).toThrow(message);
    expect(() => parseYaml(text, '/etc/b.yaml')).toThrow('/etc/b.yaml');
  });

  test('a file is read from disk, and a missing one is named', () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'barnabas-config-'));
    try {
      const file = path.join(directory, 'node.yaml');
      writeFileSync(file, 'node.id: 7\n');
      const layer = loadYaml(file);
      expect(layer.values).toEqual({ 'node.id': '7' });
      expect(layer.where?.('node.id')).toBe(`file ${file}`);
      expect(() => loadYaml(path.join(directory, 'none.yaml'))).toThrow(/none\.yaml does not exist/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
