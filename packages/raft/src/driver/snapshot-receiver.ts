/**
 * Takes a leader's snapshot piece by piece onto this node's disk, one snapshot at a time. When all of
 * it is there, the core is told, and may decide to start from it.
 *
 * Invariant: S1 the core hears of a snapshot only when its content is on disk, synced.
 */
import type { InstallSnapshot, SnapshotMark } from '../core/index.js';
import type { SnapshotChunk, SnapshotChunkResponse } from '../peer-message.js';
import type { SnapshotPointer } from '../storage/layout.js';
import type { RaftStorage } from '../storage/raft-storage.js';
import type { SnapshotWriter } from '../storage/snapshot-writer.js';

interface Receiving {
  readonly from: number;
  readonly term: number;
  readonly mark: SnapshotMark;
  readonly writer: SnapshotWriter;
  nextSequence: number;
  /** A piece is being written; its repetitions are ignored. */
  busy: boolean;
}

export interface SnapshotReceiverPorts {
  readonly storage: RaftStorage;
  readonly chunkBytes: number;
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
    if (chunk.sequence === 0) this.#begin(chunk);
    const receiving = this.#receiving;
    if (receiving === undefined || !isPartOf(chunk, receiving)) {
      this.#answer(chunk, 0);
    } else if (chunk.sequence === receiving.nextSequence && !receiving.busy) {
      this.#write(receiving, chunk).catch(this.ports.onFault);
    } else if (!receiving.busy) {
      this.#answer(chunk, receiving.nextSequence);
    }
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

  #begin(chunk: SnapshotChunk): void {
    const old = this.#receiving;
    // The repetition of the first piece of what is being received anyway.
    if (old !== undefined && isPartOf(chunk, old) && old.nextSequence === 0) return;
    if (old !== undefined) this.ports.storage.remove(old.writer).catch(this.ports.onFault);
    const { from, term, snapshot: mark } = chunk;
    const writer = this.ports.storage.stage(mark, this.ports.chunkBytes);
    this.#receiving = { from, term, mark, writer, nextSequence: 0, busy: false };
  }

  async #write(receiving: Receiving, chunk: SnapshotChunk): Promise<void> {
    receiving.busy = true;
    for (const record of chunk.records) await receiving.writer.add(record);
    const pointer = chunk.last ? await receiving.writer.finish() : undefined;
    receiving.busy = false;
    // Another snapshot may have begun meanwhile.
    if (this.#receiving !== receiving) return;
    receiving.nextSequence++;
    this.#answer(chunk, receiving.nextSequence);
    if (pointer === undefined) return;
    this.#receiving = undefined;
    this.#complete.set(pointer.mark.index, pointer);
    const { from, to, term, snapshot } = chunk;
    this.ports.onComplete({ type: 'installSnapshot', from, to, term, snapshot });
  }

  #answer(chunk: SnapshotChunk, nextSequence: number): void {
    const { from, to, term, snapshot } = chunk;
    this.ports.send({ type: 'snapshotChunkResponse', from: to, to: from, term, snapshot, nextSequence });
  }
}

function isPartOf(chunk: SnapshotChunk, receiving: Receiving): boolean {
  const { mark } = receiving;
  return (
    chunk.from === receiving.from &&
    chunk.term === receiving.term &&
    chunk.snapshot.index === mark.index &&
    chunk.snapshot.term === mark.term
  );
}
