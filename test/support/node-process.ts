/**
 * One real `barnabas` process of a test: start it, wait until it serves, and treat it badly. It ends
 * with the process that started it, however that ends: its standard input is our pipe.
 *
 * Knows nothing of roles and clusters.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

const root = path.resolve(__dirname, __dirname.includes(`${path.sep}dist${path.sep}`) ? '../../..' : '../..');
export const repository = root;
/** The compiled program; `npm test` and `npm run …` compile before they get here. */
export const program = path.join(root, 'packages', 'cli', 'dist', 'bin.js');

/** What `barnabas start --json` prints when it serves. */
export interface ReadyLine {
  readonly pid: number;
  readonly bootstrap: string;
  readonly roles: Readonly<Record<string, string>>;
}

export interface NodeExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface NodeProcessOptions {
  /** After `barnabas`; must make it print a line of JSON when it serves. */
  readonly args: readonly string[];
  /** Where its standard error goes, appended; this process's own when absent. */
  readonly logFile?: string;
}

export class NodeProcess {
  /** Rejects if the process ends before it serves. */
  readonly ready: Promise<ReadyLine>;
  readonly exited: Promise<NodeExit>;
  readonly #child: ChildProcess;
  #hasExited = false;

  constructor({ args, logFile }: NodeProcessOptions) {
    // The log goes through a pipe: limits on the files of the process must not touch it.
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ['pipe', 'pipe', logFile === undefined ? 'inherit' : 'pipe'],
    });
    this.#child = child;
    child.stdin?.on('error', () => {});
    if (logFile !== undefined) child.stderr?.pipe(createWriteStream(logFile, { flags: 'a' }));
    this.exited = once(child, 'exit').then(([code, signal]: (number | string | null)[]) => {
      this.#hasExited = true;
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
    this.ready = this.#firstLine();
    // Whoever does not ask learns of the end by `exited`.
    this.ready.catch(() => {});
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the process could not be started');
    return this.#child.pid;
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** SIGKILL: no chance to write, flush or say anything. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** SIGTERM, and the exit code. */
  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    return (await this.exited).code;
  }

  /** Does nothing to a process that has ended. */
  signal(signal: NodeJS.Signals): void {
    if (!this.#hasExited) this.#child.kill(signal);
  }

  async #firstLine(): Promise<ReadyLine> {
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('the process has no standard output');
    const lines = createInterface({ input: stdout });
    const line = await new Promise<string | undefined>((resolve) => {
      lines.once('line', resolve);
      lines.once('close', () => resolve(undefined));
    });
    if (line !== undefined) return JSON.parse(line) as ReadyLine;
    const { code, signal } = await this.exited;
    throw new Error(`barnabas ended with ${signal ?? code} before it was ready`);
  }
}
