/**
 * The way to the other nodes, as the driver sees it: datagrams.
 *
 * Promises: a message arrives whole, at most once, or not at all; never from a node of another
 * cluster, and never at a node with another disk than the one in `toDirectory`. Nothing is promised
 * about order or delivery. `send` never throws and never blocks; what cannot be sent is dropped, since
 * Raft repeats what matters.
 */
import type { PeerMessage } from '../peer-message.js';

/** Who speaks through a transport. */
export interface TransportSelf {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly directoryId: string;
}

/** Somebody to keep a connection with. */
export interface DialTarget {
  /** `host:port` */
  readonly endpoint: string;
  /** Undefined: whoever is there. */
  readonly id: number | undefined;
}

export interface RaftTransport {
  /** Called once, before anything else. Messages are handed to `receive` from then on. */
  start(self: TransportSelf, receive: (message: PeerMessage) => void): void;
  /**
   * Connections to keep from this side: replaces what was asked for before. Those that others keep with
   * this node need not be asked for; what is open and no longer asked for stays until it ends.
   */
  connect(targets: readonly DialTarget[]): void;
  /** Sends to the node that the message names, or to whoever is at `toEndpoint`. Byte fields are not changed afterwards. */
  send(message: PeerMessage): void;
  /** Ends all streams; nothing is received after it has been called. */
  stop(): void;
}
