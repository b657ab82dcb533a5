/** Commands against a real node in this process: gRPC, LevelDB and all. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@barnabas/common';
import { PrometheusMetrics } from '@barnabas/common/node';
import { levelStoreFactory } from '@barnabas/store';
import { startNode } from '../node/start-node.js';
import type { RunningNode } from '../node/start-node.js';
import { run } from '../test-kit/captured-terminal.js';
import type { RunOptions } from '../test-kit/captured-terminal.js';

let root: string;
let node: RunningNode;
beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'barnabas-cli-'));
  node = await startNode({
    dataDir: root,
    logger: silentLogger,
    metrics: new PrometheusMetrics({ processMetrics: false }),
    config: {
      'controller.listeners': 'CONTROLLER://127.0.0.1:0',
      listeners: 'CLIENT://127.0.0.1:0',
      'gateway.listeners': 'CLIENT://127.0.0.1:0',
      'http.port': 0,
    },
  });
});
afterAll(async () => {
  await node.stop(5000);
  rmSync(root, { recursive: true, force: true });
});

const barnabas = (argv: readonly string[], options: RunOptions = {}) =>
  run([...argv, '--bootstrap', node.bootstrap ?? ''], options);

test('a topic’s life: create, list, describe, alter, delete', async () => {
  expect(await barnabas(['topics', 'create', 'life', '-p', '2', '-c', 'retention.ms=1000'])).toMatchObject({
    code: 0,
    out: 'created life: 2 partitions, replication factor 1\n',
  });
  expect((await barnabas(['topics', 'list'])).out).toMatch(
    /^TOPIC +PARTITIONS +REPLICAS +TOPIC ID\n(.*\n)*life +2 +1 +\S+\n/,
  );
  expect((await barnabas(['topics', 'alter', 'life', '-p', '3', '--delete-config', 'retention.ms'])).code).toBe(0);
  const [described] = JSON.parse((await barnabas(['topics', 'describe', 'life', '--json'])).out) as {
    partitions: unknown[];
  }[];
  expect(described?.partitions).toHaveLength(3);
  expect(described?.partitions[2]).toMatchObject({
    partition: 2,
    leader: 1,
    replicas: [1],
    isr: [1],
    beginningOffset: 0,
    endOffset: 0,
  });
  expect((await barnabas(['configs', 'describe', '--topic', 'life'])).err).toContain('nothing but defaults');
  expect(await barnabas(['topics', 'delete', 'life'])).toMatchObject({ code: 0, out: 'deleted life\n' });
  expect((await barnabas(['topics', 'list', '--json'])).out).not.toContain('life');
});

test('the usual mistakes about topics', async () => {
  await barnabas(['topics', 'create', 'there']);
  const errors: readonly (readonly [readonly string[], string])[] = [
    [['topics', 'create', 'there'], 'choose another name, or add --if-not-exists [TOPIC_ALREADY_EXISTS]'],
    [['topics', 'create', 'no/slash'], '[INVALID_TOPIC_EXCEPTION]'],
    [['topics', 'create', 'new', '-c', 'retention.m=1'], 'the nearest known key is retention.ms [INVALID_CONFIG]'],
    [['topics', 'create', 'new', '-r', '3'], '[INVALID_REPLICATION_FACTOR]'],
    [['topics', 'delete', 'gone'], '[UNKNOWN_TOPIC_OR_PARTITION]'],
    [['topics', 'alter', 'there', '-p', '1'], '[INVALID_PARTITIONS]'],
    [['configs', 'describe', '--broker', '9'], '['],
  ];
  for (const [argv, message] of errors) {
    const { code, out, err } = await barnabas(argv);
    expect({ argv, err }).toEqual({ argv, err: expect.stringContaining(message) as string });
    expect(err).toMatch(/^barnabas: [^\n]+ \[[A-Z_]+\]\n$/);
    expect([code, out]).toEqual([1, '']);
  }
  expect(await barnabas(['topics', 'create', 'there', '--if-not-exists'])).toMatchObject({
    code: 0,
    out: 'there exists already\n',
  });
  expect(await barnabas(['topics', 'delete', 'gone', '--if-exists'])).toMatchObject({
    code: 0,
    out: 'gone does not exist\n',
  });
});

test('configs: what was set is shown with its source, and --all shows the rest', async () => {
  await barnabas(['topics', 'create', 'configured']);
  const alter = ['configs', 'alter', '--topic', 'configured', '--set', 'retention.ms=7', '--set', 'flush.ms=9'];
  expect((await barnabas(alter)).code).toBe(0);
  expect((await barnabas(['configs', 'alter', '--topic', 'configured', '--delete', 'flush.ms'])).code).toBe(0);
  expect((await barnabas(['configs', 'describe', '--topic', 'configured'])).out).toMatch(
    /^KEY +VALUE +SOURCE\nretention\.ms +7 +dynamic topic\n$/,
  );
  expect((await barnabas(['configs', 'describe', '--topic', 'configured', '--all'])).out).toMatch(
    /^cleanup\.policy +delete +default$/m,
  );
  expect((await barnabas(['configs', 'describe', '--broker', '1'])).out).toMatch(
    /^listeners +CLIENT:\S+ +static broker +read only$/m,
  );
});

test('cluster describe', async () => {
  const { out } = await barnabas(['cluster', 'describe']);
  expect(out).toContain(`cluster ${node.clusterId}`);
  expect(out).toMatch(/BROKER +ADDRESS +STATE.*\n +1 +127\.0\.0\.1:\d+ +serving/);
  expect(out).toMatch(/CONTROLLER +ADDRESS +STATE\n +1 +127\.0\.0\.1:\d+ +active/);
});

test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'])(
  'produce and consume give the same bytes, compression %s',
  async (compression) => {
    const lines = Array.from({ length: 2000 }, (_, index) => `${index} ${'x'.repeat(index % 300)}`);
    const input = Buffer.from(`${lines.join('\n')}\n`);
    const topic = `bytes-${compression}`;
    expect((await barnabas(['produce', topic, '--compression', compression], { stdin: [input] })).code).toBe(0);
    const { code, bytes } = await barnabas(['consume', topic, '--from-beginning', '--exit-at-end']);
    expect(code).toBe(0);
    expect(bytes.equals(input)).toBe(true);
  },
);

test('bench measures and prints one JSON object', async () => {
  const produced = await barnabas(['bench', 'produce', '-n', '500', '-s', '10', '--acks', '1', '--json']);
  expect(JSON.parse(produced.out)).toMatchObject({ records: 500, bytes: 5000 });
  const consumed = await barnabas(['bench', 'consume', '--json']);
  expect(JSON.parse(consumed.out)).toMatchObject({ records: 500, bytes: 5000 });
  const endToEnd = await barnabas(['bench', 'e2e', '--rate', '200', '--seconds', '1', '--json']);
  const { records, latencyMs } = JSON.parse(endToEnd.out) as { records: number; latencyMs: Record<string, number> };
  expect(records).toBe(200);
  expect(latencyMs['p50']).toBeGreaterThan(0);
  expect(latencyMs['max']).toBeGreaterThanOrEqual(latencyMs['p50'] ?? Number.POSITIVE_INFINITY);
});

describe('log dump', () => {
  const partition = (topic: string) => {
    const logs = path.join(root, 'broker');
    return path.join(logs, readdirSync(logs).find((name) => name.startsWith(`${topic}-0.`)) ?? 'missing');
  };

  test('shows batches and records, and holds while a broker has the log open', async () => {
    await barnabas(['produce', 'dumped', '--key-separator', ':'], { stdin: [Buffer.from('k:one\nk:two\n')] });
    const text = await run(['log', 'dump', partition('dumped'), '--records']);
    expect(text.out).toMatch(/\(dumped-0, topic id \S+\)/);
    expect(text.out).toMatch(/^0-1 {2}records 2 .* crc ok$/m);
    expect(text.out).toMatch(/^ {2}1 {2}time \d+ {2}key "k" {2}value "two"$/m);
    expect(text.out).toMatch(/1 batches, 2 records, .*: every CRC holds\n$/);
    expect([text.code, text.err]).toEqual([0, '']);
    const json = await run(['log', 'dump', partition('dumped'), '--records', '--json']);
    const kinds = json.out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { kind: string }).kind);
    expect(kinds.filter((kind) => kind !== 'segmentEnd')).toEqual(['log', 'batch', 'record', 'record', 'summary']);
  });

  test('a damaged batch is found, named, and a failure', async () => {
    await barnabas(['produce', 'damaged'], { stdin: [Buffer.from('needle-in-the-log\n')] });
    const directory = partition('damaged');
    const copy = path.join(root, path.basename(directory));
    await corrupt(directory, copy, 'needle-in-the-log');
    const { code, out, err } = await run(['log', 'dump', copy]);
    expect(out).toMatch(/^CORRUPT at 0: /m);
    expect(err).toContain('1 corrupt, 0 gaps');
    expect(err).toMatch(/\[CORRUPT_MESSAGE\]\n$/);
    expect(code).toBe(1);
  });

  test('a directory without a log says what would be one', async () => {
    const { code, err } = await run(['log', 'dump', root]);
    expect(err).toContain('holds no partition log: name a directory such as DATA-DIR/broker/TOPIC-0.');
    expect(code).toBe(1);
    expect(existsSync(path.join(root, 'CURRENT'))).toBe(false);
  });
});

/** Copies a log through the store, with one byte of the batch that holds `text` changed: LevelDB's own checksums stay good. */
async function corrupt(from: string, to: string, text: string): Promise<void> {
  const source = await levelStoreFactory.openReadOnly(from);
  const target = await levelStoreFactory.open(to);
  for await (const entries of source.read({ chunkBytes: 1 << 20 })) {
    const operations = entries.map(({ key, value }) => {
      const at = value.indexOf(text);
      if (at !== -1) value[at] = (value[at] ?? 0) ^ 1;
      return { type: 'put', key, value } as const;
    });
    await target.write(operations, { sync: true });
  }
  await source.close();
  await target.close();
}
