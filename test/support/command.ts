/** The barnabas command in this process, as a person would type it. */
import { Readable, Writable } from 'node:stream';
import { main } from '@barnabas/cli';

export class Captured extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export interface CommandOptions {
  readonly bootstrap: string;
  readonly stdin?: Readable;
  /** Takes standard output, for who wants to see it before the command ends. */
  readonly stdout?: Captured;
  readonly interrupted?: AbortSignal;
}

/** Runs a command line to its end. */
export async function command(argv: readonly string[], options: CommandOptions) {
  const { bootstrap, stdin = Readable.from([]), stdout = new Captured() } = options;
  const { interrupted = new AbortController().signal } = options;
  const stderr = new Captured();
  const streams = { stdin, stdout, stderr, stdoutIsTerminal: false, stderrIsTerminal: false };
  const code = await main(['--bootstrap', bootstrap, ...argv], {
    terminal: { ...streams, environment: {}, interrupted },
  });
  return { code, out: stdout.text, err: stderr.text };
}
