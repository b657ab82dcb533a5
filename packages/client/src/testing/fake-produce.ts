/** Produce and ProduceStream of a fake node. */
import { BarnabasError, errorToProto, toBarnabasError, v1 } from '@barnabas/protocol';
import type { BidiHandler, MessageStream } from '@barnabas/rpc';
import type { FakeNode } from './fake-node.js';
import type { FakePartition } from './fake-partition.js';
import type { Interception } from './interception.js';

/** Finds a partition that the node serves; throws UNKNOWN_TOPIC_OR_PARTITION or NOT_LEADER_OR_FOLLOWER. */
export type FindPartition = (node: FakeNode, topic: string, partition: number) => FakePartition;

type ProduceStream = MessageStream<v1.ProduceStreamRequest, v1.ProduceStreamResponse>;

export function produceHandler(node: FakeNode, find: FindPartition) {
  return (request: v1.ProduceRequest): Promise<v1.ProduceResponse> =>
    node.unary('Produce', request, () => append(node, find, request, node.intercept('ProduceEntries', request)));
}

/** Handles messages one after the other: one that is held holds those behind it, as one connection does. */
export function produceStreamHandler(
  node: FakeNode,
  find: FindPartition,
): BidiHandler<v1.ProduceStreamRequest, v1.ProduceStreamResponse> {
  return (stream) => {
    const remove = node.addStream(stream);
    let queue: Promise<void> | undefined;
    const enqueue = (message: v1.ProduceStreamRequest): void => {
      const action = node.intercept('ProduceStream', message);
      if (queue === undefined && action?.kind !== 'hold') {
        handle(node, find, stream, message, action);
        return;
      }
      const previous = queue ?? Promise.resolve();
      const next = previous
        .then(() => (action?.kind === 'hold' ? action.until : undefined))
        .then(() => {
          if (queue === next) queue = undefined;
          handle(node, find, stream, message, action?.kind === 'hold' ? action.then : action);
        });
      queue = next;
    };
    stream.handle({ onMessage: enqueue, onEnd: () => stream.end(), onClose: remove });
  };
}

function handle(
  node: FakeNode,
  find: FindPartition,
  stream: ProduceStream,
  { correlationId, request }: v1.ProduceStreamRequest,
  action: Interception | undefined,
): void {
  if (action?.kind === 'drop') return;
  if (action?.kind === 'disconnect') {
    stream.cancel();
    return;
  }
  if (request === undefined) throw new TypeError('a produce message without a request');
  if (action?.kind === 'error') {
    const error = errorToProto(new BarnabasError(action.error, 'injected'));
    stream.write({ correlationId, response: undefined, error, more: false });
    return;
  }
  const response = append(node, find, request, action);
  if (action?.kind === 'disconnect-after') {
    stream.cancel();
    return;
  }
  if (request.acks === v1.Acks.NONE || action?.kind === 'drop-answer') return;
  const answer = { correlationId, response, error: undefined, more: false };
  if (action?.kind === 'answer-in-parts') {
    const [first, ...others] = response.results;
    stream.write({ ...answer, response: { results: first === undefined ? [] : [first] }, more: true });
    void action.until.then(() => stream.write({ ...answer, response: { results: others } }));
  } else if (action?.kind === 'hold-answer') void action.until.then(() => stream.write(answer));
  else stream.write(answer);
}

function append(
  node: FakeNode,
  find: FindPartition,
  request: v1.ProduceRequest,
  action: Interception | undefined,
): v1.ProduceResponse {
  return {
    results: request.entries.map((entry, index) => {
      const { topic, partition = 0 } = entry;
      const result = { entry: index, topic, partition, recordIndexes: [] };
      try {
        const injected = action?.kind === 'entries' ? action.error(entry) : undefined;
        if (injected !== undefined) throw new BarnabasError(injected, 'injected');
        if (entry.payload?.$case !== 'batch') throw new BarnabasError('INVALID_REQUEST', 'a fake takes only batches');
        return { ...result, ...find(node, topic, partition).append(entry.payload.batch), error: undefined };
      } catch (error) {
        const nothing = { baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1 };
        return { ...result, ...nothing, error: errorToProto(toBarnabasError(error)) };
      }
    }),
  };
}
