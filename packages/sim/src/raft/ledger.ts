/** The state machine of a simulated node: everything that was ever applied, in order. */
import { assert } from '@barnabas/common';
import type { AppliedEntry, StateMachine, StoredSnapshot } from '@barnabas/raft';

/** What a ledger says to whoever looks on. */
export interface LedgerListener {
  /** Entry `index`, from 1, is this: `<term> <command>`. */
  onEntry(index: number, line: string): void;
  onLeadership(term: number | undefined, appliedIndex: number): void;
  onRestored(appliedIndex: number): void;
}

export class Ledger implements StateMachine {
  #lines: string[] = [];

  constructor(private readonly listener: LedgerListener) {}

  get length(): number {
    return this.#lines.length;
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
    this.#lines = [];
    for await (const piece of snapshot.records) {
      for (const record of piece) this.#take(record.toString('latin1'));
    }
    assert(this.#lines.length === snapshot.index, 'a snapshot holds every entry up to its index', {
      records: this.#lines.length,
      index: snapshot.index,
    });
    this.listener.onRestored(this.#lines.length);
  }

  onLeadership(term: number | undefined): void {
    this.listener.onLeadership(term, this.#lines.length);
  }

  #take(line: string): void {
    this.#lines.push(line);
    this.listener.onEntry(this.#lines.length, line);
  }
}
