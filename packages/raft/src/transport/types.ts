/**
 * The way to the other voters, as the driver sees it: datagrams between known nodes.
 *
 * Promises: a message arrives whole, at most once, or not at all; never from a node of another
 * cluster. Nothing is promised about order or delivery. `send` never throws and never blocks; what
 * cannot be sent is dropped, since Raft repeats what matters.
 */
import type { PeerMessage } from '../peer-message.js';

export interface RaftTransport {
  /** Begins to connect; called once, before any send. Messages are handed to `receive` from then on. */
  start(receive: (message: PeerMessage) => void): void;
  /** Sends to the node in `message.to`. Byte fields are not changed afterwards. */
  send(message: PeerMessage): void;
  /** Ends all streams; nothing is received after it has been called. */
  stop(): void;
}
