/** What every command gets: its terminal, the global options, and a client when it asks for one. */
import type { BarnabasClient, ClientOptions } from '@barnabas/client';
import type { ByteOutput } from './terminal/byte-output.js';
import type { Terminal } from './terminal/terminal.js';

export type Connect = (options: ClientOptions) => BarnabasClient;

export interface WithClientOptions {
  readonly bootstrap?: readonly string[];
  /** Tell the person what the client warns of: for commands that go on while things break. */
  readonly warnings?: boolean;
}

export interface CommandContext {
  readonly terminal: Terminal;
  readonly output: ByteOutput;
  /** Print JSON for machines. */
  readonly json: boolean;
  readonly bootstrap: readonly string[];
  /** Runs `use` with a client and closes the client whatever happens. */
  withClient<T>(use: (client: BarnabasClient) => Promise<T>, options?: WithClientOptions): Promise<T>;
  /** A line for the person beside the output, on standard error. */
  note(text: string): void;
}

/** What a command does. Returns its exit code, or nothing for success. */
export type Action<Options> = (
  context: CommandContext,
  args: readonly string[],
  options: Options,
) => Promise<number | undefined>;
