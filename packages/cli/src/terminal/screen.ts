/** Lines that are drawn over each other on a terminal. Never more than the terminal has: what does not fit is counted. */
import type { Writable } from 'node:stream';

const DEFAULT_ROWS = 24;
const DEFAULT_COLUMNS = 80;

export class Screen {
  #drawn = 0;

  constructor(
    private readonly terminal: Writable & { readonly rows?: number; readonly columns?: number },
    private readonly write: (text: string) => void,
  ) {}

  draw(lines: readonly string[]): void {
    // The cursor stands on a line of its own below.
    const room = Math.max(1, (this.terminal.rows ?? DEFAULT_ROWS) - 1);
    const shown =
      lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines`];
    // A line that the terminal broke in two would be counted as one when the cursor goes up again.
    const cut = shown.map((line) => line.slice(0, this.terminal.columns ?? DEFAULT_COLUMNS));
    const up = this.#drawn === 0 ? '' : `\u001B[${this.#drawn}A`;
    this.write(`${up}\r\u001B[J${cut.join('\n')}\n`);
    this.#drawn = cut.length;
  }
}
