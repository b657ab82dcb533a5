/**
 * What this node has to one other node, under one directory id: the streams between them, whoever
 * opened them. There is one as a rule; while the two differ about who is to open it, or one is reached
 * under two addresses, there may be more. The newest is spoken on, all are listened to. Does not open
 * streams; grpc-transport.ts does.
 *
 * Invariant: K1 nothing is given to the stream before both have said hello, nor to one that is over.
 */
import type { Clock } from '@barnabas/common';
import type { internal } from '@barnabas/protocol';
import type { ReplicaId } from '../core/index.js';
import type { CarriedMessage, PeerMessage } from '../peer-message.js';
import { fromProto, toProto } from './wire.js';

/** One end of a stream, whoever opened it. */
export interface LinkStream {
  write(message: internal.RaftMessage): void;
  cancel(): void;
  readonly bufferedBytes: number;
}

/** Beyond this, messages are dropped: the peer does not read, and Raft repeats what matters. */
const MAX_BUFFERED_BYTES = 8 << 20;

/** A stream on which this node has spoken for so long without an answer is taken for dead. */
const MAX_SILENCE_MS = 5_000;

/** A peer that opens more streams than this loses the oldest. */
const MAX_STREAMS = 4;

export class Link {
  /** The newest last. */
  readonly #streams: LinkStream[] = [];
  /** When this node first spoke on the newest stream after it last heard something. */
  #unansweredSince: number | undefined;

  constructor(
    readonly self: ReplicaId,
    readonly peer: ReplicaId,
    readonly clock: Clock,
    readonly receive: (message: PeerMessage) => void,
  ) {}

  /** Nothing is between the two. */
  get isEmpty(): boolean {
    return this.#streams.length === 0;
  }

  /** Takes a new stream into use. */
  attach(stream: LinkStream): void {
    this.#streams.push(stream);
    this.#unansweredSince = undefined;
    if (this.#streams.length > MAX_STREAMS) this.#streams.shift()?.cancel();
  }

  /** The stream is over. */
  detach(stream: LinkStream): void {
    const at = this.#streams.indexOf(stream);
    if (at === -1) return;
    this.#streams.splice(at, 1);
    this.#unansweredSince = undefined;
  }

  send(message: CarriedMessage): void {
    const stream = this.#streams.at(-1);
    if (stream === undefined || stream.bufferedBytes > MAX_BUFFERED_BYTES) return;
    const now = this.clock.monotonic();
    this.#unansweredSince ??= now;
    if (now - this.#unansweredSince > MAX_SILENCE_MS) {
      // A peer whose machine died says nothing more, and the connection may take minutes to notice.
      this.detach(stream);
      stream.cancel();
      return;
    }
    stream.write(toProto(message));
  }

  onMessage(stream: LinkStream, received: internal.RaftMessage): void {
    if (!this.#streams.includes(stream)) return;
    this.#unansweredSince = undefined;
    const message = fromProto(received, this.peer, this.self);
    if (message !== undefined) this.receive(message);
  }

  close(): void {
    for (const stream of this.#streams.splice(0)) stream.cancel();
  }
}
