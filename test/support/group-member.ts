/**
 * One member of a group in a process of its own: a `group` program of examples/clients, or another that
 * prints the same lines. Tells what each line says, in order.
 *
 *   joined MEMBER-ID ADDRESS | assigned P@OFFSET ... | revoked P ... | lost P ... | P OFFSET VALUE
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Program } from './examples.js';
import type { NodeExit } from './node-process.js';
import { processTree, signalAll } from './process-tree.js';

export interface MemberListener {
  onJoined(memberId: string, address: string): void;
  onAssigned(partition: number, offset: number): void;
  onGone(partition: number, how: 'revoked' | 'lost'): void;
  onRecord(partition: number, offset: number, value: string): void;
  /** It has printed what no such program prints. */
  onNonsense(line: string): void;
}

export interface GroupMemberOptions {
  readonly program: Program;
  readonly bootstrap: readonly string[];
  readonly group: string;
  readonly topic: string;
  /** Of a static member. */
  readonly instanceId?: string | undefined;
  /** Where its standard error goes, appended; this process's own when absent. */
  readonly logFile?: string | undefined;
  readonly listener: MemberListener;
}

export class GroupMember {
  /** When the process has ended and its last line is read. */
  readonly exited: Promise<NodeExit>;
  readonly #child: ChildProcess;
  readonly #listener: MemberListener;
  #hasExited = false;

  constructor({ program, bootstrap, group, topic, instanceId, logFile, listener }: GroupMemberOptions) {
    this.#listener = listener;
    const given = [bootstrap.join(','), group, topic, ...(instanceId === undefined ? [] : [instanceId])];
    const child = spawn(program.command, [...program.args, ...given], {
      env: { ...process.env, ...program.environment },
      stdio: ['ignore', 'pipe', logFile === undefined ? 'inherit' : 'pipe'],
    });
    this.#child = child;
    if (logFile !== undefined) child.stderr?.pipe(createWriteStream(logFile, { flags: 'a' }));
    const { stdout } = child;
    if (stdout === null) throw new Error('the process has no standard output');
    const lines = createInterface({ input: stdout });
    lines.on('line', (line) => this.#read(line));
    const exit = once(child, 'exit').then(([code, signal]: (number | string | null)[]) => {
      this.#hasExited = true;
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
    this.exited = Promise.all([exit, once(lines, 'close')]).then(([how]) => how);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the process could not be started');
    return this.#child.pid;
  }

  /** Its own, and those of the processes that it has started: a script is not alone. */
  get pids(): readonly number[] {
    return processTree(this.pid);
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** Does nothing to a process that has ended. What it has started stands still and goes on with it. */
  signal(signal: NodeJS.Signals): void {
    if (this.#hasExited) return;
    const isForAll = signal === 'SIGSTOP' || signal === 'SIGCONT';
    if (isForAll) signalAll(this.pids.slice(1), signal);
    this.#child.kill(signal);
  }

  #read(line: string): void {
    const [first = '', ...rest] = line.split(' ');
    switch (first) {
      case 'joined':
        this.#listener.onJoined(rest[0] ?? '', rest[1] ?? '');
        return;
      case 'assigned':
        for (const one of rest) {
          const [partition, offset] = one.split('@').map(Number);
          this.#listener.onAssigned(partition ?? -1, offset ?? -1);
        }
        return;
      case 'revoked':
      case 'lost':
        for (const partition of rest) this.#listener.onGone(Number(partition), first);
        return;
      default:
        if (/^\d+ \d+ /.test(line)) this.#listener.onRecord(Number(first), Number(rest[0]), rest.slice(1).join(' '));
        else this.#listener.onNonsense(line);
    }
  }
}
