/**
 * Sends this leader's snapshot to followers that need it: piece by piece, a window of them on their
 * way at a time, while the log goes on and is compacted. A piece that got lost is sent again. Gives up
 * when a follower is silent for an election time-out; the core then finds out by an append where the
 * follower stands, and begins anew if need be.
 *
 * Invariant: X1 at most a window of pieces is held in memory for each follower, and one more read ahead.
 */
import type { Timer, Timers } from '@barnabas/common';
import type { InstallSnapshot, NodeId } from '../core/index.js';
import type { SnapshotChunk, SnapshotChunkResponse } from '../peer-message.js';
import type { RaftStorage } from '../storage/raft-storage.js';

interface Sending {
  readonly install: InstallSnapshot;
  readonly pieces: AsyncIterator<readonly Buffer[]>;
  /** Sent and not answered, in order. */
  out: SnapshotChunk[];
  /** Number of the next piece to be read. */
  next: number;
  /** The follower has all before this one; it may have them from a transfer that was given up. */
  acknowledged: number;
  /** One piece ahead, to know which is the last. */
  ahead: readonly Buffer[] | undefined;
  /** The last piece has been sent. */
  isAllOut: boolean;
  isReading: boolean;
  /** The piece that was last sent again for a gap in the answers. */
  repeated: number;
  silence: Timer | undefined;
  repeat: Timer | undefined;
}

export interface SnapshotSenderPorts {
  readonly storage: RaftStorage;
  readonly timers: Timers;
  readonly silenceMs: number;
  readonly windowChunks: number;
  readonly send: (chunk: SnapshotChunk) => void;
  /** The index of the snapshot that the core waits for a follower to install. */
  readonly awaitedBy: (follower: NodeId) => number | undefined;
  readonly onEnd: (follower: NodeId) => void;
  readonly onFault: (error: unknown) => void;
}

/** How often within the time after which a follower is given up the oldest piece is sent again. */
const REPETITIONS = 4;

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
    const sending: Sending = {
      ...{
        install,
        pieces: stored.records[Symbol.asyncIterator](),
        out: [],
        next: 0,
        acknowledged: 0,
        ahead: undefined,
      },
      ...{ isAllOut: false, isReading: false, repeated: -1, silence: undefined, repeat: undefined },
    };
    this.#sending.set(install.to, sending);
    this.#heard(sending);
    this.#fill(sending).catch(this.ports.onFault);
  }

  onResponse(response: SnapshotChunkResponse): void {
    const sending = this.#sending.get(response.from);
    if (sending === undefined || !isAnswerTo(response, sending.install)) return;
    const { nextSequence } = response;
    const first = sending.acknowledged;
    if (this.ports.awaitedBy(response.from) !== response.snapshot.index) {
      this.#end(response.from);
    } else if (nextSequence > first) {
      sending.acknowledged = nextSequence;
      sending.out = sending.out.filter(({ sequence }) => sequence >= nextSequence);
      this.#heard(sending);
      this.#fill(sending).catch(this.ports.onFault);
    } else if (nextSequence === 0 && first > 0) {
      // The follower has begun anew, or knows nothing of this.
      this.#giveUp(response.from);
    } else if (nextSequence === first && sending.repeated < first) {
      // It has got a later piece and not this one.
      sending.repeated = first;
      this.#repeat(sending);
    }
  }

  stop(): void {
    for (const follower of [...this.#sending.keys()]) this.#end(follower);
  }

  /** Reads and sends until the window is full. One at a time for each follower. */
  async #fill(sending: Sending): Promise<void> {
    if (sending.isReading) return;
    sending.isReading = true;
    while (!sending.isAllOut && sending.out.length < this.ports.windowChunks) {
      const records = sending.ahead ?? (await this.#read(sending)) ?? [];
      sending.ahead = await this.#read(sending);
      if (this.#sending.get(sending.install.to) !== sending) return;
      sending.isAllOut = sending.ahead === undefined;
      const { from, fromDirectory, to, toDirectory, term, snapshot, configuration } = sending.install;
      const envelope = { from, fromDirectory, to, toDirectory, term };
      const piece = { snapshot, configuration, sequence: sending.next++, last: sending.isAllOut, records };
      const chunk: SnapshotChunk = { type: 'snapshotChunk', ...envelope, ...piece };
      if (chunk.sequence < sending.acknowledged) continue;
      sending.out.push(chunk);
      this.ports.send(chunk);
    }
    sending.isReading = false;
    if (sending.isAllOut && sending.out.length === 0) this.#giveUp(sending.install.to);
  }

  async #read(sending: Sending): Promise<readonly Buffer[] | undefined> {
    const result = await sending.pieces.next();
    return result.done === true ? undefined : result.value;
  }

  /** The follower has got further: its patience begins anew. */
  #heard(sending: Sending): void {
    const { timers, silenceMs } = this.ports;
    sending.silence?.cancel();
    sending.silence = timers.after(silenceMs, () => this.#giveUp(sending.install.to));
    this.#repeatLater(sending);
  }

  #repeatLater(sending: Sending): void {
    const { timers, silenceMs } = this.ports;
    sending.repeat?.cancel();
    sending.repeat = timers.after(Math.ceil(silenceMs / REPETITIONS), () => this.#repeat(sending));
  }

  #repeat(sending: Sending): void {
    const first = sending.out[0];
    if (first !== undefined) this.ports.send(first);
    this.#repeatLater(sending);
  }

  #giveUp(follower: NodeId): void {
    this.#end(follower);
    this.ports.onEnd(follower);
  }

  #end(follower: NodeId): void {
    const sending = this.#sending.get(follower);
    if (sending === undefined) return;
    this.#sending.delete(follower);
    sending.silence?.cancel();
    sending.repeat?.cancel();
    sending.pieces.return?.(undefined).catch(this.ports.onFault);
  }
}

function isAnswerTo(response: SnapshotChunkResponse, install: InstallSnapshot): boolean {
  return (
    response.fromDirectory === install.toDirectory &&
    response.term === install.term &&
    response.snapshot.index === install.snapshot.index
  );
}
