/** `barnabas up` with real processes: what it reports, and that nothing outlives it. Needs a build. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { BarnabasClient } from '@barnabas/client';

const PROGRAM = path.join(__dirname, '..', '..', 'packages', 'cli', 'dist', 'bin.js');

interface Line {
  readonly role?: string;
  readonly id?: number;
  readonly pid?: number;
  readonly address?: string;
  readonly ready?: boolean;
  readonly bootstrap?: string;
  readonly exited?: number | null;
  readonly signal?: string;
}

/** A running `barnabas up`, and the lines it prints. */
class Up {
  readonly process: ChildProcess;
  readonly lines: Line[] = [];
  readonly #more: (() => void)[] = [];

  constructor(dataDir: string, ...args: readonly string[]) {
    const argv = [PROGRAM, 'up', '--data-dir', dataDir, '--base-port', '0', ...args];
    this.process = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    if (this.process.stdout === null) throw new Error('no standard output');
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      this.lines.push(JSON.parse(line) as Line);
      for (const wake of this.#more.splice(0)) wake();
    });
    this.process.once('exit', () => {
      for (const wake of this.#more.splice(0)) wake();
    });
  }

  async line(matches: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const found = this.lines.find(matches);
      if (found !== undefined) return found;
      if (this.process.exitCode !== null) throw new Error(`up ended with ${this.process.exitCode}`);
      await new Promise<void>((resolve) => this.#more.push(resolve));
    }
  }

  get pids(): readonly number[] {
    return this.lines.flatMap(({ pid, address }) => (pid === undefined || address === undefined ? [] : [pid]));
  }
}

/** Whether the process runs; one that has ended and was not waited for does not. */
async function isGone(pid: number): Promise<void> {
  const stat = `/proc/${pid}/stat`;
  const { readFile } = await import('node:fs/promises');
  for (;;) {
    const text = await readFile(stat, 'utf8').catch(() => undefined);
    if (text === undefined || text.slice(text.lastIndexOf(')') + 2).startsWith('Z')) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

let root: string;
let up: Up | undefined;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'barnabas-up-'));
});
afterEach(async () => {
  if (up?.process.exitCode === null && up.process.signalCode === null) {
    up.process.kill('SIGKILL');
    await once(up.process, 'exit');
  }
  await Promise.all((up?.pids ?? []).map(isGone));
  rmSync(root, { recursive: true, force: true });
});

const onLinux = existsSync('/proc/self/stat') ? test : test.skip;

onLinux(
  'a cluster of processes: three controllers, two brokers, a gateway',
  async () => {
    up = new Up(root, '--controllers', '3', '--brokers', '2', '--gateways', '1');
    const { bootstrap = '' } = await up.line(({ ready }) => ready === true);
    expect(
      up.lines
        .slice(0, -1)
        .map(({ role, id }) => `${role}-${id}`)
        .sort(),
    ).toEqual(['broker-1', 'broker-2', 'controller-1', 'controller-2', 'controller-3', 'gateway-1']);

    const client = new BarnabasClient({ bootstrap });
    const cluster = await client.admin().describeCluster();
    expect(cluster.brokers.map(({ id, fenced }) => [id, fenced])).toEqual([
      [1, false],
      [2, false],
    ]);
    await client.admin().createTopics([{ name: 't', partitions: 4 }]);
    const producer = client.producer();
    const sent = await Promise.all(
      [0, 1, 2, 3].map((partition) => producer.send({ topic: 't', partition, value: `in ${partition}` })),
    );
    expect(sent.map(({ partition, offset }) => [partition, offset])).toEqual(
      [0, 1, 2, 3].map((partition) => [partition, 0]),
    );
    await client.close();

    const broker = await up.line(({ role, id }) => role === 'broker' && id === 2);
    process.kill(broker.pid ?? 0, 'SIGKILL');
    const death = await up.line(({ signal }) => signal !== undefined);
    expect(death).toEqual({ role: 'broker', id: 2, pid: broker.pid, exited: null, signal: 'SIGKILL' });

    up.process.kill('SIGTERM');
    const [code] = (await once(up.process, 'exit')) as [number];
    expect(code).toBe(0);
    await Promise.all(up.pids.map(isGone));
  },
  60_000,
);

onLinux(
  'no node outlives a cluster that is killed, and the same data serve again',
  async () => {
    for (const value of ['first', 'second']) {
      up = new Up(root, '--brokers', '1');
      const { bootstrap = '' } = await up.line(({ ready }) => ready === true);
      const client = new BarnabasClient({ bootstrap });
      await client.producer().send({ topic: 't', value });
      const [end] = await client.consumer().endOffsets([{ topic: 't', partition: 0 }]);
      expect(end?.offset).toBe(value === 'first' ? 1 : 2);
      await client.close();
      up.process.kill('SIGKILL');
      await once(up.process, 'exit');
      await Promise.all(up.pids.map(isGone));
    }
  },
  60_000,
);
