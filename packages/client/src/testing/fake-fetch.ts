/**
 * Fetch of a fake node: pushes what there is within the credit, overdrawing it by one message at most.
 * min_bytes and max_wait_ms are not simulated: data is sent as soon as there is any.
 */
import { BarnabasError, errorToProto, toBarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { BidiHandler, MessageStream } from '@barnabas/rpc';
import type { FakeNode } from './fake-node.js';
import type { FakePartition } from './fake-partition.js';
import type { FindPartition } from './fake-produce.js';

/** Kafka's max.partition.fetch.bytes. */
const DEFAULT_MAX_BYTES = 1_048_576;

interface Subscription {
  readonly id: number;
  readonly partition: FakePartition;
  readonly maxBytes: number;
  readonly stopListening: () => void;
  offset: number;
}

export interface FakeFetchPorts {
  readonly find: FindPartition;
  /** The same, also at a follower that serves readers of the rack. */
  readonly findReadable: (node: FakeNode, topic: string, partition: number, rack?: string) => FakePartition;
  /** Tells of changes of leadership, after which subscriptions are looked at again. */
  readonly onLeadership: (listener: () => void) => () => void;
}

type FetchStream = MessageStream<v1.FetchRequest, v1.FetchResponse>;

export function fetchHandler(node: FakeNode, ports: FakeFetchPorts): BidiHandler<v1.FetchRequest, v1.FetchResponse> {
  return (stream) => {
    const session = new FakeFetchSession(node, ports, stream);
    stream.handle({
      onMessage: (message) => session.onMessage(message),
      onEnd: () => stream.end(),
      onClose: () => session.close(),
    });
  };
}

class FakeFetchSession {
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #stops: (() => void)[];
  #credit = 0;
  #isPumping = false;

  constructor(
    private readonly node: FakeNode,
    private readonly ports: FakeFetchPorts,
    private readonly stream: FetchStream,
  ) {
    this.#stops = [node.addStream(stream), ports.onLeadership(() => this.#checkLeadership())];
  }

  onMessage(message: v1.FetchRequest): void {
    const action = this.node.intercept('Fetch', message);
    if (action?.kind === 'drop') return;
    if (action?.kind === 'disconnect') {
      this.stream.cancel();
      return;
    }
    const { request } = message;
    const injected = action?.kind === 'error' ? new BarnabasError(action.error, 'injected') : undefined;
    switch (request?.$case) {
      case 'subscribe':
        this.#subscribe(request.subscribe, injected);
        break;
      case 'unsubscribe':
        this.#end(request.unsubscribe.subscriptionId, undefined);
        break;
      case 'credit':
        this.#credit += request.credit.bytes;
        break;
      case undefined:
        break;
    }
    this.#pump();
  }

  close(): void {
    for (const stop of this.#stops) stop();
    for (const { stopListening } of this.#subscriptions.values()) stopListening();
    this.#subscriptions.clear();
  }

  #subscribe(subscribe: v1.FetchSubscribe, injected: BarnabasError | undefined): void {
    const { subscriptionId: id, topic, partition: index, offset, maxBytes } = subscribe;
    try {
      if (injected !== undefined) throw injected;
      const partition = this.ports.findReadable(this.node, topic, index, subscribe.rack);
      const nearer = this.node.isGateway ? undefined : partition.readers.get(subscribe.rack ?? '');
      if (nearer !== undefined && nearer !== this.node.nodeId) {
        this.#write(id, { ended: true, preferredReadReplica: nearer });
        return;
      }
      const { leaderEpoch = -1, lastFetchedEpoch = -1 } = subscribe;
      if (Math.max(leaderEpoch, lastFetchedEpoch) > partition.leaderEpoch) {
        throw new BarnabasError('UNKNOWN_LEADER_EPOCH', 'that epoch has not begun here');
      }
      const parting = partingOf(partition, subscribe);
      if (parting !== undefined) {
        this.#write(id, { ended: true, error: errorToProto(outOfRange(offset)), diverging: parting });
        return;
      }
      if (offset < partition.logStartOffset || offset > partition.logEndOffset) throw outOfRange(offset);
      const stopListening = partition.onAppend(() => this.#pump());
      this.#subscriptions.set(id, { id, partition, offset, maxBytes: maxBytes || DEFAULT_MAX_BYTES, stopListening });
    } catch (error) {
      this.#write(id, { ended: true, error: errorToProto(toBarnabasError(error)) });
    }
  }

  #end(id: number, error: BarnabasError | undefined): void {
    this.#subscriptions.get(id)?.stopListening();
    if (!this.#subscriptions.delete(id)) return;
    this.#write(id, { ended: true, error: error === undefined ? undefined : errorToProto(error) });
  }

  #checkLeadership(): void {
    for (const { id, partition } of [...this.#subscriptions.values()]) {
      try {
        this.ports.find(this.node, partition.topic, partition.partition);
      } catch (error) {
        this.#end(id, toBarnabasError(error));
      }
    }
  }

  /** Sends in the turn after: several appends of one turn share a message. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      let isMore = true;
      while (isMore && this.#credit > 0) {
        isMore = false;
        for (const subscription of this.#subscriptions.values()) isMore = this.#push(subscription) || isMore;
      }
    });
  }

  #push(subscription: Subscription): boolean {
    const { partition } = subscription;
    if (this.#credit <= 0 || subscription.offset >= partition.logEndOffset) return false;
    if (subscription.offset < partition.logStartOffset) {
      this.#end(subscription.id, outOfRange(subscription.offset));
      return false;
    }
    const { bytes, nextOffset } = partition.read(subscription.offset, subscription.maxBytes);
    if (bytes.length === 0) return false;
    subscription.offset = nextOffset;
    this.#credit -= bytes.length;
    this.#write(subscription.id, {
      batches: bytes,
      highWatermark: partition.logEndOffset,
      lastStableOffset: partition.logEndOffset,
      logStartOffset: partition.logStartOffset,
      leaderEpoch: partition.leaderEpoch,
      nextOffset,
    });
    return true;
  }

  #write(subscriptionId: number, fields: Partial<v1.FetchResponse>): void {
    this.stream.write({
      subscriptionId,
      batches: Buffer.alloc(0),
      highWatermark: -1,
      logStartOffset: -1,
      lastStableOffset: -1,
      leaderEpoch: -1,
      nextOffset: -1,
      ended: false,
      error: undefined,
      diverging: undefined,
      ...fields,
    });
  }
}

/** As a real leader judges it. */
function partingOf(partition: FakePartition, { offset, lastFetchedEpoch = -1 }: v1.FetchSubscribe) {
  if (lastFetchedEpoch < 0 || offset <= partition.logStartOffset) return undefined;
  const found = partition.endOffsetForEpoch(lastFetchedEpoch);
  if (found?.leaderEpoch === lastFetchedEpoch && found.endOffset >= offset) return undefined;
  return found ?? { leaderEpoch: -1, endOffset: partition.logStartOffset };
}

function outOfRange(offset: number): BarnabasError {
  return new BarnabasError('OFFSET_OUT_OF_RANGE', `there is no offset ${offset}`, { offset });
}
