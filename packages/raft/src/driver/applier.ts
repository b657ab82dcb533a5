/**
 * Feeds the state machine: committed entries in order, snapshots to start anew from. A restore takes
 * time; what comes meanwhile waits behind it.
 *
 * Invariant: A1 the state machine sees each index once and without gaps between two restores.
 */
import { assert } from '@barnabas/common';
import type { Entry, SnapshotMark } from '../core/index.js';
import type { AppliedEntry, StateMachine, StoredSnapshot } from '../types.js';

type Task = { readonly restore: SnapshotMark } | { readonly entries: readonly Entry[] };

export class Applier {
  #applied: SnapshotMark;
  readonly #tasks: Task[] = [];
  #restoring = false;
  /** The next thing that counts is the restore of a newer snapshot. */
  #outdated = false;

  constructor(
    readonly stateMachine: StateMachine,
    applied: SnapshotMark,
    readonly readSnapshot: () => StoredSnapshot,
    readonly onRestored: () => void,
    readonly onFault: (error: unknown) => void,
  ) {
    this.#applied = applied;
  }

  /** The last entry that the state machine has seen. */
  get applied(): SnapshotMark {
    return this.#applied;
  }

  /** Nothing waits and no restore is under way: the state machine may be asked for its image. */
  get idle(): boolean {
    return !this.#restoring && this.#tasks.length === 0;
  }

  restore(mark: SnapshotMark): void {
    // Whatever waits is part of the snapshot.
    this.#tasks.length = 0;
    this.#tasks.push({ restore: mark });
  }

  apply(entries: readonly Entry[]): void {
    if (entries.length > 0) this.#tasks.push({ entries });
  }

  /** Does what can be done now. */
  run(): void {
    for (let task = this.#next(); task !== undefined; task = this.#next()) {
      if ('entries' in task) this.#apply(task.entries);
      else this.#restore(task.restore).catch(this.onFault);
    }
  }

  #next(): Task | undefined {
    return this.#restoring ? undefined : this.#tasks.shift();
  }

  #apply(entries: readonly Entry[]): void {
    const [first, last] = [entries[0], entries.at(-1)];
    if (first === undefined || last === undefined || this.#outdated) return;
    assert(first.index === this.#applied.index + 1, 'A1 must hold', {
      index: first.index,
      applied: this.#applied.index,
    });
    this.stateMachine.apply(entries.map(appliedEntry));
    this.#applied = { index: last.index, term: last.term };
  }

  async #restore(mark: SnapshotMark): Promise<void> {
    this.#restoring = true;
    const snapshot = this.readSnapshot();
    // While an earlier restore took its time, a still newer snapshot may have come into force: its own
    // restore is about to come, and all that lies between is part of it.
    this.#outdated = snapshot.index !== mark.index;
    if (!this.#outdated) {
      await this.stateMachine.restore(snapshot);
      this.#applied = mark;
    }
    this.#restoring = false;
    this.onRestored();
  }
}

function appliedEntry({ index, term, kind, command }: Entry): AppliedEntry {
  return { index, term, command: kind === 'command' ? bufferOf(command) : null };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
