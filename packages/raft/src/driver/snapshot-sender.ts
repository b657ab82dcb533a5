/**
 * Sends this leader's snapshot to followers that need it, piece by piece, each after the answer to
 * the one before. Gives up when a follower is silent for an election time-out; the core then finds
 * out by an append where the follower stands, and begins anew if need be.
 */
import type { Timer, Timers } from '@barnabas/common';
import type { InstallSnapshot, NodeId } from '../core/index.js';
import type { SnapshotChunk, SnapshotChunkResponse } from '../peer-message.js';
import type { RaftStorage } from '../storage/raft-storage.js';

interface Sending {
  readonly install: InstallSnapshot;
  readonly pieces: AsyncIterator<readonly Buffer[]>;
  /** Number of the piece that is out, or being read. */
  sequence: number;
  last: boolean;
  /** One piece ahead, to know which is the last. */
  ahead: readonly Buffer[] | undefined;
  timer: Timer | undefined;
}

export interface SnapshotSenderPorts {
  readonly storage: RaftStorage;
  readonly timers: Timers;
  readonly silenceMs: number;
  readonly send: (chunk: SnapshotChunk) => void;
  /** The index of the snapshot that the core waits for a follower to install. */
  readonly awaitedBy: (follower: NodeId) => number | undefined;
  readonly onEnd: (follower: NodeId) => void;
  readonly onFault: (error: unknown) => void;
}

export class SnapshotSender {
  readonly #sending = new Map<NodeId, Sending>();

  constructor(readonly ports: SnapshotSenderPorts) {}

  begin(install: InstallSnapshot): void {
    this.#end(install.to);
    const stored = this.ports.storage.readSnapshot();
    if (stored.index !== install.snapshot.index) {
      // A newer one has come into force since the core decided; it will decide again.
      this.ports.onEnd(install.to);
      return;
    }
    const pieces = stored.records[Symbol.asyncIterator]();
    const sending = { install, pieces, sequence: -1, last: false, ahead: undefined, timer: undefined };
    this.#sending.set(install.to, sending);
    this.#next(sending).catch(this.ports.onFault);
  }

  onResponse(response: SnapshotChunkResponse): void {
    const sending = this.#sending.get(response.from);
    if (sending === undefined || sending.install.snapshot.index !== response.snapshot.index) return;
    if (this.ports.awaitedBy(response.from) !== response.snapshot.index) {
      this.#end(response.from);
    } else if (response.nextSequence === sending.sequence + 1) {
      if (sending.last) this.#giveUp(response.from);
      else this.#next(sending).catch(this.ports.onFault);
    } else if (response.nextSequence === 0 && sending.sequence > 0) {
      // The follower has begun anew, or knows nothing of this.
      this.#giveUp(response.from);
    }
  }

  stop(): void {
    for (const follower of [...this.#sending.keys()]) this.#end(follower);
  }

  async #next(sending: Sending): Promise<void> {
    const { install } = sending;
    sending.timer?.cancel();
    const records = sending.ahead ?? (await this.#read(sending)) ?? [];
    sending.ahead = await this.#read(sending);
    if (this.#sending.get(install.to) !== sending) return;
    sending.sequence++;
    sending.last = sending.ahead === undefined;
    sending.timer = this.ports.timers.after(this.ports.silenceMs, () => this.#giveUp(install.to));
    const { from, to, term, snapshot } = install;
    const { sequence, last } = sending;
    this.ports.send({ type: 'snapshotChunk', from, to, term, snapshot, sequence, last, records });
  }

  async #read(sending: Sending): Promise<readonly Buffer[] | undefined> {
    const result = await sending.pieces.next();
    return result.done === true ? undefined : result.value;
  }

  #giveUp(follower: NodeId): void {
    this.#end(follower);
    this.ports.onEnd(follower);
  }

  #end(follower: NodeId): void {
    const sending = this.#sending.get(follower);
    if (sending === undefined) return;
    this.#sending.delete(follower);
    sending.timer?.cancel();
    sending.pieces.return?.(undefined).catch(this.ports.onFault);
  }
}
