/**
 * The state machine of a simulated node: everything that was ever applied, in order, and what it makes
 * of a few registers. A command `<value> <register>` writes a register; its value is unique.
 */
import { assert } from '@barnabas/common';
import type { AppliedEntry, StateMachine, StoredSnapshot } from '@barnabas/raft';

/** What a ledger says to whoever looks on. */
export interface LedgerListener {
  /** Entry `index`, from 1, is this: `<term> <command>`. */
  onEntry(index: number, line: string): void;
  onLeadership(term: number | undefined, appliedIndex: number): void;
  onRestored(appliedIndex: number, before: number): void;
}

export class Ledger implements StateMachine {
  #lines: string[] = [];
  #registers = new Map<string, string>();

  constructor(private readonly listener: LedgerListener) {}

  get length(): number {
    return this.#lines.length;
  }

  /** Undefined: nothing has been written. */
  valueOf(register: string): string | undefined {
    return this.#registers.get(register);
  }

  apply(entries: readonly AppliedEntry[]): void {
    for (const { index, term, command } of entries) {
      assert(index === this.#lines.length + 1, 'entries are applied in order, without gaps', { index });
      this.#take(`${term} ${command === null ? '' : command.toString('latin1')}`);
    }
  }

  snapshot(): Iterable<Uint8Array> {
    const image = [...this.#lines];
    return image.map((line) => Buffer.from(line, 'latin1'));
  }

  async restore(snapshot: StoredSnapshot): Promise<void> {
    const lines: string[] = [];
    for await (const piece of snapshot.records) {
      for (const record of piece) lines.push(record.toString('latin1'));
    }
    assert(lines.length === snapshot.index, 'a snapshot holds every entry up to its index', {
      records: lines.length,
      index: snapshot.index,
    });
    const before = this.#lines.length;
    this.#lines = [];
    this.#registers = new Map();
    for (const line of lines) this.#take(line);
    this.listener.onRestored(this.#lines.length, before);
  }

  onLeadership(term: number | undefined): void {
    this.listener.onLeadership(term, this.#lines.length);
  }

  #take(line: string): void {
    this.#lines.push(line);
    const [, value, register] = line.split(' ');
    if (value !== undefined && register !== undefined) this.#registers.set(register, value);
    this.listener.onEntry(this.#lines.length, line);
  }
}
