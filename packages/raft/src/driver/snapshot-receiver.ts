/**
 * Takes a leader's snapshot piece by piece onto this node's disk, one snapshot at a time. Pieces that
 * come before their turn wait, as many as a window has. When all of it is there, the core is told, and
 * may decide to start from it.
 *
 * Invariant: S1 the core hears of a snapshot only when its content is on disk, synced.
 */
import type { InstallSnapshot, SnapshotMark } from '../core/index.js';
import type { SnapshotChunk, SnapshotChunkResponse } from '../peer-message.js';
import type { SnapshotPointer } from '../storage/layout.js';
import type { RaftStorage } from '../storage/raft-storage.js';
import type { SnapshotWriter } from '../storage/snapshot-writer.js';

interface Receiving {
  readonly first: SnapshotChunk;
  readonly writer: SnapshotWriter;
  /** All before it are written. */
  nextSequence: number;
  /** Those that have come and are not written, by number. */
  readonly waiting: Map<number, SnapshotChunk>;
  isWriting: boolean;
}

export interface SnapshotReceiverPorts {
  readonly storage: RaftStorage;
  readonly chunkBytes: number;
  readonly windowChunks: number;
  readonly send: (response: SnapshotChunkResponse) => void;
  readonly onComplete: (install: InstallSnapshot) => void;
  readonly onFault: (error: unknown) => void;
}

export class SnapshotReceiver {
  #receiving: Receiving | undefined;
  /** Received snapshots that are not in force yet, by index. */
  readonly #complete = new Map<number, SnapshotPointer>();

  constructor(readonly ports: SnapshotReceiverPorts) {}

  onChunk(chunk: SnapshotChunk): void {
    if (this.#receiving === undefined || !isSameTransfer(chunk, this.#receiving.first)) this.#begin(chunk);
    const receiving = this.#receiving;
    if (receiving === undefined || !isSameTransfer(chunk, receiving.first)) {
      this.#answer(chunk, 0);
      return;
    }
    const { nextSequence, waiting } = receiving;
    const isNew = chunk.sequence >= nextSequence && chunk.sequence < nextSequence + this.ports.windowChunks;
    if (isNew) waiting.set(chunk.sequence, chunk);
    if (!waiting.has(nextSequence)) this.#answer(chunk, nextSequence);
    else if (!receiving.isWriting) this.#write(receiving).catch(this.ports.onFault);
  }

  /** The content of a snapshot that the core has accepted. Older ones are of no use any more. */
  take(mark: SnapshotMark): SnapshotPointer | undefined {
    const pointer = this.#complete.get(mark.index);
    for (const index of [...this.#complete.keys()]) if (index <= mark.index) this.#complete.delete(index);
    return pointer;
  }

  /** The core has no need of a snapshot. */
  discard(mark: SnapshotMark): void {
    const pointer = this.#complete.get(mark.index);
    this.#complete.delete(mark.index);
    if (pointer !== undefined) this.ports.storage.remove(pointer).catch(this.ports.onFault);
  }

  /** A snapshot begins with any of the first pieces: they may have come out of order. */
  #begin(chunk: SnapshotChunk): void {
    if (chunk.sequence >= this.ports.windowChunks) return;
    const old = this.#receiving;
    // A late piece of a transfer that was given up for this one.
    if (old !== undefined && isOlder(chunk, old.first)) return;
    if (old !== undefined) this.ports.storage.remove(old.writer).catch(this.ports.onFault);
    const writer = this.ports.storage.stage(chunk.snapshot, chunk.configuration, this.ports.chunkBytes);
    this.#receiving = { first: chunk, writer, nextSequence: 0, waiting: new Map(), isWriting: false };
  }

  async #write(receiving: Receiving): Promise<void> {
    receiving.isWriting = true;
    const next = (): SnapshotChunk | undefined => receiving.waiting.get(receiving.nextSequence);
    for (let chunk = next(); chunk !== undefined; chunk = next()) {
      for (const record of chunk.records) await receiving.writer.add(record);
      const pointer = chunk.last ? await receiving.writer.finish() : undefined;
      // Another snapshot may have begun meanwhile.
      if (this.#receiving !== receiving) return;
      receiving.waiting.delete(receiving.nextSequence);
      receiving.nextSequence++;
      this.#answer(chunk, receiving.nextSequence);
      if (pointer !== undefined) this.#completed(chunk, pointer);
    }
    receiving.isWriting = false;
  }

  #completed(chunk: SnapshotChunk, pointer: SnapshotPointer): void {
    this.#receiving = undefined;
    if (this.#complete.has(pointer.mark.index)) {
      // A snapshot that comes twice: the core has accepted the first, and waits for the disk to put it in
      // force. It would have no need of the second, whose removal would be taken for that of the first.
      this.ports.storage.remove(pointer).catch(this.ports.onFault);
      return;
    }
    this.#complete.set(pointer.mark.index, pointer);
    const { from, fromDirectory, to, toDirectory, term, snapshot, configuration } = chunk;
    const envelope = { from, fromDirectory, to, toDirectory, term };
    this.ports.onComplete({ type: 'installSnapshot', ...envelope, snapshot, configuration });
  }

  #answer(chunk: SnapshotChunk, nextSequence: number): void {
    const { term, snapshot } = chunk;
    const back = { from: chunk.to, fromDirectory: chunk.toDirectory, to: chunk.from, toDirectory: chunk.fromDirectory };
    this.ports.send({ type: 'snapshotChunkResponse', ...back, term, snapshot, nextSequence });
  }
}

function isSameTransfer(a: SnapshotChunk, b: SnapshotChunk): boolean {
  const isSameSender = a.from === b.from && a.fromDirectory === b.fromDirectory && a.term === b.term;
  return isSameSender && a.snapshot.index === b.snapshot.index && a.snapshot.term === b.snapshot.term;
}

function isOlder(a: SnapshotChunk, b: SnapshotChunk): boolean {
  return a.term < b.term || (a.term === b.term && a.snapshot.index < b.snapshot.index);
}
