/**
 * What has happened in a run: a hash over every line, so that two runs of one seed can be compared,
 * and the last lines for whoever looks at a failure.
 */
import { createHash } from 'node:crypto';

const LINES_KEPT = 1000;

export class Trace {
  readonly #hash = createHash('sha256');
  readonly #lines: string[] = [];
  #next = 0;

  note(line: string): void {
    this.#hash.update(line).update('\n');
    this.#lines[this.#next] = line;
    this.#next = (this.#next + 1) % LINES_KEPT;
  }

  /** Of everything noted; the trace takes no more afterwards. */
  digest(): string {
    return this.#hash.digest('hex').slice(0, 16);
  }

  /** Oldest first. */
  last(): readonly string[] {
    return [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)];
  }
}
