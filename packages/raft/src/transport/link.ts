/**
 * What this node has to one other voter: at most one stream, used by both for everything. Does not
 * open streams; grpc-transport.ts does.
 *
 * Invariant: K1 nothing is given to the stream before both have said hello, nor to one that is over.
 */
import type { Clock } from '@barnabas/common';
import type { internal } from '@barnabas/protocol';
import type { NodeId } from '../core/index.js';
import type { PeerMessage } from '../peer-message.js';
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

export class Link {
  #stream: LinkStream | undefined;
  /** When this node first spoke after it last heard something. */
  #unansweredSince: number | undefined;

  constructor(
    readonly selfId: NodeId,
    readonly peerId: NodeId,
    readonly clock: Clock,
    readonly receive: (message: PeerMessage) => void,
  ) {}

  /** Takes a new stream into use; an older one is given up: its other end has moved on as well. */
  attach(stream: LinkStream): void {
    const old = this.#stream;
    this.#stream = stream;
    this.#unansweredSince = undefined;
    old?.cancel();
  }

  /** The stream is over; without effect for one that is no longer in use. */
  detach(stream: LinkStream): void {
    if (this.#stream === stream) this.#stream = undefined;
  }

  send(message: Exclude<PeerMessage, { type: 'installSnapshot' }>): void {
    const stream = this.#stream;
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
    if (this.#stream !== stream) return;
    this.#unansweredSince = undefined;
    const message = fromProto(received, this.peerId, this.selfId);
    if (message !== undefined) this.receive(message);
  }

  close(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
  }
}
