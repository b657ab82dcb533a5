/**
 * Makes snapshots of this node's own state machine, one at a time, when enough log has gathered
 * behind the last one. The log is written on meanwhile.
 */
import { assert } from '@barnabas/common';
import type { EventQueue } from '@barnabas/common';
import { entryBytes } from '../core/index.js';
import type { Configuration, Entry, SnapshotMark } from '../core/index.js';
import type { RaftStorage } from '../storage/raft-storage.js';
import type { RaftConfig } from '../types.js';

export class SnapshotMaker {
  #bytesSince = 0;
  #making: Promise<void> | undefined;
  #stopped = false;

  constructor(
    readonly storage: RaftStorage,
    /** The lane of this node's writes. */
    readonly lane: EventQueue,
    readonly config: RaftConfig,
    /** The snapshot is in force: the core may forget what lies behind it. */
    readonly onMade: (mark: SnapshotMark) => void,
    readonly onFault: (error: unknown) => void,
  ) {}

  applied(entries: readonly Entry[]): void {
    for (const entry of entries) this.#bytesSince += entryBytes(entry);
  }

  get due(): boolean {
    return this.#making === undefined && !this.#stopped && this.#bytesSince >= this.config.snapshotAfterBytes;
  }

  /** The configuration is the one as of the mark. */
  begin(mark: SnapshotMark, configuration: Configuration, records: Iterable<Uint8Array>): void {
    this.#bytesSince = 0;
    this.#making = this.#make(mark, configuration, records)
      .catch(this.onFault)
      .finally(() => {
        this.#making = undefined;
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#making;
  }

  async #make(mark: SnapshotMark, configuration: Configuration, records: Iterable<Uint8Array>): Promise<void> {
    const writer = this.storage.stage(mark, configuration, this.config.snapshotChunkBytes);
    for (const record of records) {
      // One record travels in one message; what fits as a command fits as a part of the image.
      const size = record.length;
      assert(size <= this.config.maxCommandBytes, 'a record of the image is no larger than a command may be', { size });
      await writer.add(record);
      if (this.#stopped) return;
    }
    const pointer = await writer.finish();
    if (this.#stopped) return;
    // In the same lane as the log's groups, so that two switches of the snapshot cannot cross.
    const inForce = await this.lane.push(() => this.storage.adopt(pointer));
    if (!inForce) return;
    this.onMade(mark);
    await this.storage.removeCompacted();
  }
}
