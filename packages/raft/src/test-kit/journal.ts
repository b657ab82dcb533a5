/** A state machine for tests: remembers the commands it was given, and checks how it is called. */
import { assert } from '@barnabas/common';
import type { AppliedEntry, StateMachine, StoredSnapshot } from '../types.js';

export class Journal implements StateMachine {
  commands: string[] = [];
  lastIndex = 0;
  restores = 0;
  /** The leadership as announced; undefined while there is none. */
  leads: number | undefined;
  readonly leadership: (number | undefined)[] = [];
  /** When set, apply throws. */
  poison: string | undefined;
  #restoring = false;

  apply(entries: readonly AppliedEntry[]): void {
    assert(!this.#restoring, 'nothing is applied during a restore');
    for (const { index, command } of entries) {
      assert(index === this.lastIndex + 1, 'entries are applied in order', { index, lastIndex: this.lastIndex });
      this.lastIndex = index;
      if (command === null) continue;
      const text = command.toString();
      if (text === this.poison) throw new Error(`cannot apply ${text}`);
      this.commands.push(text);
    }
  }

  *snapshot(): Iterable<Uint8Array> {
    const commands = [...this.commands];
    for (const command of commands) yield Buffer.from(command);
  }

  async restore({ index, records }: StoredSnapshot): Promise<void> {
    this.#restoring = true;
    const commands: string[] = [];
    for await (const piece of records) for (const record of piece) commands.push(record.toString());
    this.commands = commands;
    this.lastIndex = index;
    this.restores++;
    this.#restoring = false;
  }

  onLeadership(term: number | undefined): void {
    assert(term === undefined || this.leads === undefined, 'a leadership ends before the next begins');
    this.leads = term;
    this.leadership.push(term);
  }
}
