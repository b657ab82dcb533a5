/** The command as a shell runs it, against a real node: bytes through pipes, exit codes, messages. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePorts } from '../support/nodes';
import { program, Server } from '../support/server';

let dataDir: string;
let server: Server;
beforeAll(async () => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'barnabas-shell-'));
  server = await Server.start({ dataDir });
});
afterAll(async () => {
  await server?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

interface Ran {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: Buffer;
  readonly err: string;
}

interface Wanted {
  readonly input?: Buffer;
  readonly bootstrap?: string;
  /** Closes the pipe after the first output, as `head -1` does. */
  readonly onlyFirst?: boolean;
}

async function barnabas(args: readonly string[], wanted: Wanted = {}): Promise<Ran> {
  const { input = Buffer.alloc(0), bootstrap = server.bootstrap, onlyFirst = false } = wanted;
  const child = spawn(process.execPath, [program, ...args, '--bootstrap', bootstrap]);
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => {
    out.push(chunk);
    if (onlyFirst) child.stdout.destroy();
  });
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, out: Buffer.concat(out), err: Buffer.concat(err).toString() };
}

test('what goes in by a pipe comes out byte for byte, text or not', async () => {
  const lines = Array.from({ length: 5_000 }, (_, n) =>
    Buffer.concat([Buffer.from(`${n} `), Buffer.from([n % 10 === 0 ? 0xff : 0x61, 0x00, 0x0d]), Buffer.from('\n')]),
  );
  const input = Buffer.concat([...lines, Buffer.from('\n\n')]);
  const produced = await barnabas(['produce', 'bytes'], { input });
  expect([produced.code, produced.out.length]).toEqual([0, 0]);
  expect(produced.err).toMatch(/5,?002 records acknowledged/);
  const consumed = await barnabas(['consume', 'bytes', '--from-beginning', '--exit-at-end']);
  expect([consumed.code, consumed.err]).toEqual([0, '']);
  expect(consumed.out.equals(input)).toBe(true);
});

test('a reader that goes away ends consume quietly and well', async () => {
  const input = Buffer.from(`${'x'.repeat(1_000)}\n`.repeat(5_000));
  expect((await barnabas(['produce', 'pipe'], { input })).code).toBe(0);
  const { code, signal, out, err } = await barnabas(['consume', 'pipe', '--from-beginning'], { onlyFirst: true });
  expect([code, signal, err]).toEqual([0, null, '']);
  expect(out.length).toBeGreaterThan(0);
  expect(out.length).toBeLessThan(input.length);
});

test('failures have exit codes, one line each, and say what to do', async () => {
  const [port] = await freePorts(1);
  const down = await barnabas(['topics', 'list'], { bootstrap: `127.0.0.1:${port}` });
  expect([down.code, down.out.length]).toEqual([1, 0]);
  expect(down.err).toMatch(
    new RegExp(
      `^barnabas: nothing answers at 127.0.0.1:${port} .*"barnabas start".*--bootstrap.*\\[NETWORK_EXCEPTION\\]\n$`,
    ),
  );
  const unknown = await barnabas(['consume', 'no-such-topic', '--from-beginning']);
  expect([unknown.code, unknown.out.length]).toEqual([1, 0]);
  expect(unknown.err).toMatch(/^barnabas: .*no-such-topic.*topics create.*\[UNKNOWN_TOPIC_OR_PARTITION\]\n$/);
  const illegal = await barnabas(['produce', 'no/slash'], { input: Buffer.from('x\n') });
  expect([illegal.code, illegal.out.length]).toEqual([1, 0]);
  expect(illegal.err).toMatch(/^barnabas: .*\[INVALID_TOPIC_EXCEPTION\]\n$/);
  const usage = await barnabas(['consume', 'bytes', '--no-such-flag']);
  expect(usage.code).toBe(2);
  expect(usage.err).toContain('--no-such-flag');
});
