/**
 * One node of `barnabas up`: a child process running `barnabas start --role …`.
 *
 * The child's standard input is a pipe that this process never writes to. It closes with this
 * process, however that ends, and the child stops when it does: no node outlives its cluster.
 * The child leads a process group of its own, so that Ctrl-C reaches it through this process only,
 * in the right order.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { CliError } from '../errors.js';
import { THREAD_POOL_SIZE } from '../thread-pool.js';
import type { PlannedNode } from './plan.js';
import type { NodeExit, SupervisedNode } from './supervisor.js';

/** A process that has been told to stop has this much longer than its grace before it is killed. */
const KILL_AFTER_GRACE_MS = 5_000;

export class NodeProcess implements SupervisedNode {
  readonly pid: number;
  /** Rejects with what the node said last. */
  readonly ready: Promise<void>;
  readonly exited: Promise<NodeExit>;
  readonly #child: ChildProcess;
  #isOver = false;

  private constructor(
    readonly node: PlannedNode,
    child: ChildProcess,
    pid: number,
  ) {
    this.#child = child;
    this.pid = pid;
    this.exited = once(child, 'exit').then(([code, signal]: (number | string | null)[]) => {
      this.#isOver = true;
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
    this.ready = this.#waitReady();
    // Whoever does not ask learns of the end by `exited`.
    this.ready.catch(() => {});
  }

  static async start(node: PlannedNode, args: readonly string[]): Promise<NodeProcess> {
    const log = openSync(node.logFile, 'a');
    try {
      const program = path.join(__dirname, '..', 'bin.js');
      const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
        stdio: ['pipe', 'pipe', log],
        env: { ...process.env, UV_THREADPOOL_SIZE: process.env['UV_THREADPOOL_SIZE'] ?? THREAD_POOL_SIZE },
        detached: true,
      });
      // A write to a child that is gone is not an event here; its exit is.
      child.stdin?.on('error', () => {});
      await once(child, 'spawn');
      if (child.pid === undefined) throw new CliError(`${node.role}-${node.id} could not be started`);
      return new NodeProcess(node, child, child.pid);
    } finally {
      closeSync(log);
    }
  }

  /** Asks the node to stop in good order; kills it when it takes longer than its grace. */
  async stop(graceMs: number): Promise<void> {
    if (this.#isOver) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.kill(), graceMs + KILL_AFTER_GRACE_MS);
    await this.exited;
    clearTimeout(timer);
  }

  kill(): void {
    if (!this.#isOver) this.#child.kill('SIGKILL');
  }

  /** The first line that the child prints on standard output says that it serves; it prints no other. */
  async #waitReady(): Promise<void> {
    const { stdout } = this.#child;
    if (stdout === null) throw new CliError(`${this.#name} has no standard output`);
    const lines = createInterface({ input: stdout });
    const isReady = new Promise<boolean>((resolve) => {
      lines.once('line', () => resolve(true));
      lines.once('close', () => resolve(false));
    });
    if (await isReady) return;
    const { code, signal } = await this.exited;
    throw new CliError(
      `${this.#name} ended with ${signal ?? `code ${code}`} before it was ready: ${this.#lastWords()}`,
    );
  }

  get #name(): string {
    return `${this.node.role}-${this.node.id}`;
  }

  #lastWords(): string {
    const last = readFileSync(this.node.logFile, 'utf8').trimEnd().split('\n').at(-1) ?? '';
    return last === '' ? `see ${this.node.logFile}` : `${messageOf(last)} (see ${this.node.logFile})`;
  }
}

/** Nodes are started with --json: what made one end is said to a person without the brackets. */
export function messageOf(line: string): string {
  try {
    const { error, msg } = JSON.parse(line) as { error?: { message?: string; code?: string | null }; msg?: string };
    if (error?.message !== undefined) return error.message + (error.code ? ` [${error.code}]` : '');
    return msg ?? line;
  } catch {
    return line;
  }
}
