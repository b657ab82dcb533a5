import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from './test-kit/captured-terminal.js';

const COMMANDS = [
  ...['start', 'up', 'topics', 'produce', 'consume', 'cluster', 'brokers', 'reassign', 'leader-election'],
  ...['quorum', 'features', 'storage', 'configs', 'log', 'bench'],
];

describe('usage', () => {
  test('help lists every command and is a success', async () => {
    const { code, out, err } = await run(['--help']);
    expect([code, err]).toEqual([0, '']);
    for (const command of COMMANDS) {
      expect(out).toMatch(new RegExp(`^  ${command} `, 'm'));
    }
  });

  test.each([
    [['topics'], ['create', 'list', 'describe', 'alter', 'delete']],
    [['configs'], ['describe', 'alter']],
    [['cluster'], ['describe']],
    [['brokers'], ['list', 'decommission', 'unregister']],
    [['reassign'], ['generate', 'execute', 'verify', 'cancel', 'list']],
    [['quorum'], ['describe', 'add-voter', 'remove-voter', 'transfer-leader']],
    [['storage'], ['format', 'info', 'random-uuid']],
    [['features'], ['describe', 'upgrade', 'downgrade']],
    [['log'], ['dump']],
    [['bench'], ['produce', 'consume', 'e2e']],
  ])('%j without a command shows its commands and is a mistake', async (argv, commands) => {
    const { code, err } = await run(argv);
    expect(code).toBe(2);
    for (const command of commands) expect(err).toMatch(new RegExp(`^  ${command}`, 'm'));
  });

  test('the version is the package’s', async () => {
    const { code, out } = await run(['--version']);
    expect([code, out]).toEqual([0, '0.1.0\n']);
  });

  test.each([
    [['consum'], 'unknown command \'consum\' (Did you mean consume?); see "barnabas --help"'],
    [['topics', 'creat'], 'unknown command \'creat\' (Did you mean create?); see "barnabas topics --help"'],
    [['produce', 't', '--aks', '1'], 'unknown option \'--aks\' (Did you mean --acks?); see "barnabas produce --help"'],
    [['produce', 't', '--acks', '2'], 'Must be all, 1 or 0; see'],
    [['produce', 't', '--compression', 'rar'], 'Allowed choices are none, gzip, snappy, lz4, zstd; see'],
    [['produce', 't', '--partition', '-1'], 'Must be a whole number from 0'],
    [['produce'], "missing required argument 'topic'"],
    [['consume', 't', '--offset', '1.5'], 'Must be a whole number, at least 0; see'],
    [['consume', 't', '--offset', '1e3'], 'Must be a whole number, at least 0; see'],
    [['consume', 't', '--offset', '99999999999999999999'], 'Must be a whole number, at most 9007199254740991; see'],
    [['groups', 'reset-offsets', 'g', '--shift-by', 'x'], 'Must be a whole number; see'],
    [['consume', 't', '--group', ''], 'Must have 1 to 255 characters; see'],
    [['consume', 't', '--group', 'g'.repeat(256)], 'Must have 1 to 255 characters; see'],
    [['consume', 't', '--offset', '1', '--from-beginning'], 'cannot be used with option'],
    [['topics', 'list', '--bootstrap', 'nonsense'], 'Must be host:port'],
    [['topics', 'create', 't', '--config', 'retention.ms'], 'Must be key=value; see'],
    [['configs', 'describe'], 'of what? Give --topic NAME or --broker ID'],
    [['configs', 'alter', '--topic', 't'], 'nothing to alter: give --set'],
    [['topics', 'alter', 't'], 'nothing to alter: give --partitions'],
    [['consume', 't', '--format', '%y'], '--format: %y is no field of a record'],
    [['start', '--role', 'king'], '--role king is no role: use controller, broker, gateway'],
    [['up', '--base-port', '65500'], '--base-port must be at most'],
  ])('%j is refused in one line that says why', async (argv, message) => {
    const { code, out, err } = await run(argv);
    expect(err).toContain(message);
    expect(err).toMatch(/^barnabas: [^\n]+\n$/);
    expect([code, out]).toEqual([2, '']);
  });

  test.each([[['consum']], [['consume', 't', '--offset', '-1']], [['produce']], [['consume', 't', '--format', '%y']]])(
    '%j is refused in JSON with --json',
    async (argv) => {
      const { code, out, err } = await run([...argv, '--json']);
      expect(JSON.parse(err)).toMatchObject({ error: { code: null, message: expect.stringMatching(/\w/) as string } });
      expect([code, out]).toEqual([2, '']);
    },
  );
});

describe('a cluster that is not there', () => {
  let address: string;
  beforeAll(async () => {
    // A port that was free a moment ago: nobody listens on it.
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await new Promise((resolve) => server.close(resolve));
  });

  test('is said at once, with what to do', async () => {
    const { code, err } = await run(['topics', 'list', '--bootstrap', address]);
    expect(code).toBe(1);
    expect(err).toBe(
      `barnabas: nothing answers at ${address} (ECONNREFUSED): start a node with "barnabas start", or name another with --bootstrap host:port [NETWORK_EXCEPTION]\n`,
    );
  });

  test('with --json the error is JSON', async () => {
    const { code, err } = await run(['topics', 'list', '--json', '--bootstrap', address]);
    expect(code).toBe(1);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'NETWORK_EXCEPTION' } });
  });
});

describe('start', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), 'barnabas-main-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));
  const start = (argv: readonly string[], environment = {}) =>
    run(['start', '--data-dir', path.join(root, 'data'), '--log-level', 'silent', ...argv], { environment });

  test.each([
    [
      ['--set', 'log.retention.m=1'],
      {},
      'unknown configuration key "log.retention.m" in --set: the nearest known key is log.retention.ms',
    ],
    [['--set', 'log.retention.ms'], {}, '--set "log.retention.ms" must be key=value'],
    [
      [],
      { BARNABAS_NUM_PARTITION: '3' },
      'unknown environment variable BARNABAS_NUM_PARTITION: the nearest known variable is BARNABAS_NUM_PARTITIONS',
    ],
    [
      [],
      { BARNABAS_NUM_PARTITIONS: 'many' },
      'configuration key num.partitions must be a whole number, at least 1: "many" is not (environment variable BARNABAS_NUM_PARTITIONS)',
    ],
    [['--config', '/nowhere/node.yaml'], {}, 'configuration file /nowhere/node.yaml does not exist'],
    [['--role', 'broker'], {}, 'configuration key controller.quorum.voters must be given'],
  ])('%j with %j is refused before anything starts', async (argv, environment, message) => {
    const { code, err } = await start(argv, environment);
    expect(err).toContain(message);
    expect(err).toMatch(/ \[INVALID_CONFIG\]\n$/);
    expect(code).toBe(2);
  });

  test('a mistake in a file is said with the file', async () => {
    const file = path.join(root, 'node.yaml');
    writeFileSync(file, 'num:\n  partitions: 0\n');
    const { code, err } = await start(['--config', file]);
    expect(err).toContain(`num.partitions must be a whole number, at least 1: "0" is not (file ${file})`);
    expect(code).toBe(2);
  });
});
