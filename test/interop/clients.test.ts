/**
 * The clients of examples/clients against a real node: each is generated from proto/ here and now,
 * and knows nothing but gRPC. Languages that are not installed are left out, and said so.
 */
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { repository, Server } from '../support/server';

const run = promisify(execFile);
const cache = path.join(repository, 'node_modules', '.cache', 'barnabas-interop');
const examples = path.join(repository, 'examples', 'clients');
const has = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;

/** What every quickstart prints: ten records, of three keys, in order within each key. */
function expectTenRecords(output: string): void {
  const read = [...output.matchAll(/^(\d+) (\d+) (key-\d) (hello \d)$/gm)].map(([, partition, offset, key, value]) => ({
    partition: Number(partition),
    offset: Number(offset),
    key,
    value,
  }));
  expect(read.map(({ value }) => value).sort()).toEqual(Array.from({ length: 10 }, (_, n) => `hello ${n}`));
  for (const key of ['key-0', 'key-1', 'key-2']) {
    const ofKey = read.filter((record) => record.key === key);
    expect(new Set(ofKey.map(({ partition }) => partition)).size).toBe(1);
    expect(ofKey.map(({ value }) => value)).toEqual(
      Array.from({ length: 10 }, (_, n) => n)
        .filter((n) => `key-${n % 3}` === key)
        .map((n) => `hello ${n}`),
    );
  }
  expect(output).toMatch(/wrote to partition \d+ from offset \d+/);
}

describe('clients in other languages', () => {
  let server: Server;
  let dataDir: string;

  beforeAll(async () => {
    fs.mkdirSync(cache, { recursive: true });
    dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'barnabas-interop-'));
    server = await Server.start({ dataDir, set: { 'num.partitions': 4 } });
  });

  afterAll(async () => {
    await server?.stop();
    fs.rmSync(dataDir, { recursive: true, force: true });
  });

  const withPython = has('python3', '-m', 'venv', '--help') ? it : it.skip;
  withPython(
    'Python produces and consumes in fewer than 30 lines',
    async () => {
      const script = path.join(examples, 'python', 'quickstart.py');
      expect(fs.readFileSync(script, 'utf8').trimEnd().split('\n').length).toBeLessThan(30);

      const environment = path.join(cache, 'python');
      const python = path.join(environment, 'bin', 'python');
      if (!has(python, '-c', 'import grpc, grpc_tools')) {
        await run('python3', ['-m', 'venv', environment]);
        await run(python, ['-m', 'pip', 'install', '--quiet', 'grpcio', 'grpcio-tools']);
      }
      const generated = path.join(dataDir, 'python');
      fs.mkdirSync(generated);
      const protos = fs
        .readdirSync(path.join(repository, 'proto/barnabas/v1'))
        .map((name) => `proto/barnabas/v1/${name}`);
      const compile = [
        '-m',
        'grpc_tools.protoc',
        '-I',
        'proto',
        `--python_out=${generated}`,
        `--grpc_python_out=${generated}`,
      ];
      await run(python, [...compile, ...protos], { cwd: repository });
      const { stdout } = await run(python, [script, server.bootstrap, 'from-python'], {
        env: { ...process.env, PYTHONPATH: generated },
      });
      expectTenRecords(stdout);

      const member = path.join(examples, 'python', 'subscribe.py');
      expect(fs.readFileSync(member, 'utf8').trimEnd().split('\n').length).toBeLessThan(30);
      const { stdout: pushed } = await run(python, [member, server.bootstrap, 'from-python'], {
        env: { ...process.env, PYTHONPATH: generated },
      });
      expect(pushed.trim().split('\n').sort()).toEqual(
        stdout
          .trim()
          .split('\n')
          .filter((line) => !line.startsWith('wrote'))
          .sort(),
      );
    },
    300_000,
  );

  const withGo = has('go', 'version') ? it : it.skip;
  withGo(
    'Go produces and consumes',
    async () => {
      const folder = path.join(cache, 'go');
      fs.rmSync(folder, { recursive: true, force: true });
      fs.cpSync(path.join(examples, 'go'), folder, { recursive: true });
      const template = fs.readFileSync(path.join(folder, 'generate.sh'), 'utf8');
      fs.writeFileSync(path.join(folder, 'generate.sh'), template.replace(/root=.*/, `root='${repository}'`));
      await run('sh', [path.join(folder, 'generate.sh')]);
      const { stdout } = await run('go', ['run', '.', server.bootstrap, 'from-go'], { cwd: folder });
      expectTenRecords(stdout);
    },
    300_000,
  );
});
