/**
 * LogService/Fetch: a fetch session over a bidirectional stream.
 *
 * Errors of a subscription come in its `ended` message: UNKNOWN_TOPIC_OR_PARTITION,
 * INVALID_TOPIC_EXCEPTION, NOT_LEADER_OR_FOLLOWER, LEADER_NOT_AVAILABLE, FENCED_LEADER_EPOCH,
 * UNKNOWN_LEADER_EPOCH, OFFSET_OUT_OF_RANGE, INVALID_REQUEST, KAFKA_STORAGE_ERROR. The stream as a
 * whole fails with INVALID_REQUEST (an id used twice, an empty message) and BROKER_NOT_AVAILABLE.
 *
 * A client that does not read is not read from either: nothing it sends can make this side hold more
 * than the transport's buffer and the few messages of F4.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { MessageStream } from '@barnabas/rpc';
import { FetchSession } from './fetch-session.js';
import type { EndReader, FetchDependencies } from './fetch-session.js';

type Stream = MessageStream<v1.FetchRequest, v1.FetchResponse>;

/** Returns what ends the stream from this side. */
export function fetch(stream: Stream, dependencies: FetchDependencies, onClose: () => void): EndReader {
  const session = new FetchSession(dependencies, (message) => {
    const goOn = stream.write(message);
    if (!goOn) stream.pause();
    return goOn;
  });
  stream.handle({
    onMessage(message) {
      try {
        receive(session, message);
      } catch (error) {
        session.close();
        if (!(error instanceof BarnabasError)) throw error;
        stream.end(error);
      }
    },
    onDrain() {
      stream.resume();
      session.drained();
    },
    onEnd: () =>
      session.finish(() => {
        session.close();
        stream.end();
      }),
    onClose: () => {
      session.close();
      onClose();
    },
  });
  return (error) => {
    session.close();
    stream.end(error);
  };
}

function receive(session: FetchSession, { request }: v1.FetchRequest): void {
  switch (request?.$case) {
    case 'subscribe':
      return session.subscribe(request.subscribe);
    case 'unsubscribe':
      return session.unsubscribe(request.unsubscribe.subscriptionId);
    case 'credit':
      return session.grant(request.credit.bytes);
    case undefined:
      throw new BarnabasError('INVALID_REQUEST', 'a message subscribes, unsubscribes or grants credit');
  }
}
