/**
 * A node's log, hard state and snapshot in a key-value store. One write at a time: the caller waits
 * for a promise before it asks for the next write; snapshot chunks, which nothing refers to yet, may
 * be written beside.
 *
 * Invariants:
 *   T1  a group is one atomic, synced write
 *   T2  a snapshot's content is on disk, synced, before anything refers to it
 *   T3  at any time the disk holds a snapshot and the entries that follow it, or all entries
 *   T4  a snapshot that somebody reads stays until it has been read, however many come into force meanwhile
 * Byte layout: layout.ts. What a start makes of it: recovery.ts.
 */
import { assert } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import type { KeyValueStore, StoreOperation } from '@barnabas/store';
import type { Configuration, PersistGroup, RecoveredState, SnapshotMark } from '../core/index.js';
import type { StoredSnapshot } from '../types.js';
import * as layout from './layout.js';
import type { Identity, SnapshotPointer } from './layout.js';
import { damaged, recover, sound } from './recovery.js';
import { SnapshotWriter } from './snapshot-writer.js';

const READ_BYTES = 1 << 18;

export class RaftStorage {
  #pointer: SnapshotPointer;
  /** The snapshot before, kept until the next switch for those who have begun to read it. */
  #previous: SnapshotPointer | undefined;
  /** The last entry on disk. */
  #lastIndex: number;
  #nextSnapshotId: number;
  /** How many read each snapshot, by its id; and those to be removed when nobody does any more. */
  readonly #readers = new Map<number, number>();
  readonly #doomed = new Set<number>();

  private constructor(
    readonly store: KeyValueStore,
    readonly identity: Identity,
    pointer: SnapshotPointer,
    lastIndex: number,
    nextSnapshotId: number,
  ) {
    this.#pointer = pointer;
    this.#lastIndex = lastIndex;
    this.#nextSnapshotId = nextSnapshotId;
  }

  static async open(
    store: KeyValueStore,
    expected: Pick<Identity, 'clusterId' | 'nodeId'>,
    logger: Logger,
  ): Promise<{ readonly storage: RaftStorage; readonly recovered: RecoveredState }> {
    // What the process before wrote may not be on disk, if its sync failed. From here on this node answers
    // for all that it reads, its vote first. And it comes before anything is removed: a snapshot may be in
    // force that a crash can still take back, and the entries that it has replaced would be gone already.
    await store.sync();
    const { hardState, pointer, entries, nextSnapshotId, identity } = await recover(store, expected, logger);
    const lastIndex = entries.at(-1)?.index ?? pointer.mark.index;
    const storage = new RaftStorage(store, identity, pointer, lastIndex, nextSnapshotId);
    const { mark: snapshot, configuration } = pointer;
    return { storage, recovered: { hardState, snapshot, configuration, entries } };
  }

  /** The snapshot in force; index 0 if there is none. */
  get snapshot(): SnapshotMark {
    return this.#pointer.mark;
  }

  /** Begins to write a snapshot's content. */
  stage(mark: SnapshotMark, configuration: Configuration, chunkBytes: number): SnapshotWriter {
    return new SnapshotWriter(this.store, this.#nextSnapshotId++, mark, configuration, chunkBytes);
  }

  /** Puts a group on disk. `received` is the content of its snapshot, if it has one. */
  async persist(group: PersistGroup, received: SnapshotPointer | undefined): Promise<void> {
    const operations: StoreOperation[] = [];
    let lastIndex = this.#lastIndex;
    if (group.snapshot !== undefined) {
      const { index, term } = group.snapshot;
      const isIt = received?.mark.index === index && received.mark.term === term;
      assert(isIt, 'the content of a snapshot in a group is on disk', { index, term });
      operations.push(putPointer(received));
      // Entries of the old log behind the snapshot must not become the new log's.
      for (let index = received.mark.index + 1; index <= lastIndex; index++) operations.push(removeEntry(index));
      lastIndex = received.mark.index;
    }
    const first = group.entries[0];
    for (const entry of group.entries) {
      operations.push({ type: 'put', key: layout.entryKey(entry.index), value: layout.encodeEntry(entry) });
    }
    if (first !== undefined) {
      const newLastIndex = first.index + group.entries.length - 1;
      for (let index = newLastIndex + 1; index <= lastIndex; index++) operations.push(removeEntry(index));
      lastIndex = newLastIndex;
    }
    if (group.hardState !== undefined) {
      operations.push({ type: 'put', key: layout.HARD_STATE_KEY, value: layout.encodeHardState(group.hardState) });
    }
    if (operations.length === 0) return;
    await this.store.write(operations, { sync: true });
    this.#lastIndex = lastIndex;
    if (received !== undefined && group.snapshot !== undefined) await this.#switchTo(received);
  }

  /** Puts a snapshot of this node's own in force. False if one at least as new has come meanwhile. */
  async adopt(made: SnapshotPointer): Promise<boolean> {
    if (made.mark.index <= this.#pointer.mark.index) {
      await this.remove(made);
      return false;
    }
    await this.store.write([putPointer(made)], { sync: true });
    await this.#switchTo(made);
    return true;
  }

  /** The content of the snapshot in force; stays readable when the next comes into force. */
  readSnapshot(): StoredSnapshot {
    return { ...this.#pointer.mark, records: this.#records(this.#pointer) };
  }

  /** Removes the entries that the snapshot in force contains. May run beside other writes, which touch none of them. */
  async removeCompacted(): Promise<void> {
    const range = { gte: layout.entryKey(0), lt: layout.entryKey(this.#pointer.mark.index + 1) };
    await this.store.clear(range);
    await this.store.compactRange(range);
  }

  /** Removes the content of a snapshot that is not in force. */
  async remove({ id }: { readonly id: number }): Promise<void> {
    if (this.#readers.has(id)) this.#doomed.add(id);
    else await this.store.clear({ gte: layout.chunkKey(id, 0), lt: layout.chunkKey(id + 1, 0) });
  }

  async *#records(pointer: SnapshotPointer): AsyncGenerator<readonly Buffer[], void, undefined> {
    const range = { gte: layout.chunkKey(pointer.id, 0), lt: layout.chunkKey(pointer.id + 1, 0) };
    let chunks = 0;
    this.#readers.set(pointer.id, (this.#readers.get(pointer.id) ?? 0) + 1);
    try {
      for await (const entries of this.store.read({ ...range, chunkBytes: READ_BYTES })) {
        for (const { key, value } of entries) {
          if (!key.equals(layout.chunkKey(pointer.id, chunks))) break;
          chunks++;
          yield sound(layout.decodeChunk(value), `piece ${chunks} of the snapshot at ${pointer.mark.index}`);
        }
      }
      if (chunks !== pointer.chunks) throw damaged(`the snapshot at ${pointer.mark.index} is incomplete`);
    } finally {
      await this.#readNoMore(pointer.id);
    }
  }

  async #readNoMore(id: number): Promise<void> {
    const left = (this.#readers.get(id) ?? 1) - 1;
    if (left > 0) {
      this.#readers.set(id, left);
      return;
    }
    this.#readers.delete(id);
    if (this.#doomed.delete(id)) await this.remove({ id });
  }

  async #switchTo(pointer: SnapshotPointer): Promise<void> {
    const unread = this.#previous;
    this.#previous = this.#pointer;
    this.#pointer = pointer;
    if (unread !== undefined) await this.remove(unread);
  }
}

function putPointer(pointer: SnapshotPointer): StoreOperation {
  return { type: 'put', key: layout.SNAPSHOT_KEY, value: layout.encodeSnapshotPointer(pointer) };
}

function removeEntry(index: number): StoreOperation {
  return { type: 'del', key: layout.entryKey(index) };
}
