/** A terminal whose output is kept, for running commands inside a test. */
import { PassThrough, Readable, Writable } from 'node:stream';
import { main } from '../main.js';
import type { MainDependencies } from '../main.js';
import type { Terminal } from '../terminal/terminal.js';

class Capture extends Writable {
  readonly chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(Buffer.from(chunk));
    done();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly bytes: Buffer;
  readonly err: string;
}

export interface RunOptions extends Omit<MainDependencies, 'terminal'> {
  readonly stdin?: Iterable<Buffer> | Readable;
  readonly environment?: Readonly<Record<string, string>>;
  readonly interrupted?: AbortSignal;
  /** A person watches standard output. */
  readonly stdoutIsTerminal?: boolean;
  /** A person watches standard error. */
  readonly stderrIsTerminal?: boolean;
  /** Takes standard output instead of the capture. */
  readonly stdout?: Writable;
}

/** Runs a command line to its end. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const stdout = new Capture();
  const stderr = new Capture();
  if (options.stderrIsTerminal === true) Object.assign(stderr, { isTTY: true, columns: 80 });
  const { stdin = [], environment = {}, interrupted = new AbortController().signal, connect } = options;
  const terminal: Terminal = {
    stdin: stdin instanceof Readable ? stdin : Readable.from(stdin, { objectMode: false }),
    stdout: options.stdout ?? stdout,
    stderr,
    environment,
    interrupted,
    stdoutIsTerminal: options.stdoutIsTerminal ?? false,
    stderrIsTerminal: options.stderrIsTerminal ?? false,
  };
  const code = await main(argv, connect === undefined ? { terminal } : { terminal, connect });
  return { code, out: stdout.bytes.toString(), bytes: stdout.bytes, err: stderr.bytes.toString() };
}

/** Standard input that stays open until it is told otherwise. */
export function openInput(): PassThrough {
  return new PassThrough();
}
