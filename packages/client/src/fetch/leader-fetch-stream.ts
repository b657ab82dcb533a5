/**
 * One Fetch stream to one node: subscriptions under their ids, and the credit that the node has been
 * granted and not used. Does not decide how much to grant, nor what to do when a subscription ends.
 *
 * Invariants:
 *   F1  each subscription hears its end once, unless it was closed from this side; nothing follows it
 *   F2  `outstanding` is what was granted less what has come, for whatever subscription it came
 */
import { BarnabasError, errorFromProto, v1 } from '@barnabas/protocol';
import type { Channel, MessageStream } from '@barnabas/rpc';

export interface StreamSubscriber {
  onData(response: v1.FetchResponse): void;
  /** The subscription is over; the error says why. */
  onEnd(error: BarnabasError): void;
  /** The subscription is over, because this broker has a replica that is nearer. */
  onNearer(brokerId: number): void;
}

export interface LeaderFetchStreamParts {
  readonly channel: Channel;
  /** Bytes came for a subscription that was closed meanwhile. */
  readonly onDropped: () => void;
  /** The stream is over; every subscription has heard its end. */
  readonly onClosed: (error: BarnabasError) => void;
}

export class LeaderFetchStream {
  readonly address: string;
  readonly #parts: LeaderFetchStreamParts;
  readonly #stream: MessageStream<v1.FetchResponse, v1.FetchRequest>;
  readonly #subscribers = new Map<number, StreamSubscriber>();
  #nextId = 1;
  #outstanding = 0;
  #isClosed = false;

  constructor(parts: LeaderFetchStreamParts) {
    this.address = parts.channel.address;
    this.#parts = parts;
    this.#stream = parts.channel.client(v1.LogServiceDefinition).fetch();
    this.#stream.handle({
      onMessage: (message) => this.#onMessage(message),
      onClose: (error) => this.#onClose(error ?? this.#ended()),
    });
  }

  /** Credit granted and not used; below 0 after an overdraft. */
  get outstanding(): number {
    return this.#outstanding;
  }

  get subscriptions(): number {
    return this.#subscribers.size;
  }

  subscribe(request: Omit<v1.FetchSubscribe, 'subscriptionId'>, subscriber: StreamSubscriber): number {
    const subscriptionId = this.#nextId++;
    this.#subscribers.set(subscriptionId, subscriber);
    this.#stream.write({ request: { $case: 'subscribe', subscribe: { ...request, subscriptionId } } });
    return subscriptionId;
  }

  /** The subscriber hears nothing more. */
  unsubscribe(subscriptionId: number): void {
    if (!this.#subscribers.delete(subscriptionId) || this.#isClosed) return;
    this.#stream.write({ request: { $case: 'unsubscribe', unsubscribe: { subscriptionId } } });
  }

  grant(bytes: number): void {
    this.#outstanding += bytes;
    this.#stream.write({ request: { $case: 'credit', credit: { bytes } } });
  }

  /** Breaks off; no subscriber hears of it. */
  cancel(): void {
    this.#subscribers.clear();
    this.#isClosed = true;
    this.#stream.cancel();
  }

  #onMessage(message: v1.FetchResponse): void {
    if (this.#isClosed) return;
    const { subscriptionId, ended } = message;
    this.#outstanding -= message.batches.length;
    const subscriber = this.#subscribers.get(subscriptionId);
    if (subscriber === undefined) {
      this.#parts.onDropped();
      return;
    }
    if (!ended) {
      subscriber.onData(message);
      return;
    }
    this.#subscribers.delete(subscriptionId);
    const { error, preferredReadReplica } = message;
    if (error === undefined && preferredReadReplica !== undefined) subscriber.onNearer(preferredReadReplica);
    else subscriber.onEnd(this.#reasonOf(message));
  }

  #reasonOf({ error: reason, diverging }: v1.FetchResponse): BarnabasError {
    if (reason === undefined) return this.#ended();
    const error = errorFromProto(reason);
    if (diverging === undefined) return error;
    const { leaderEpoch, endOffset } = diverging;
    return new BarnabasError(error.errorName, error.message, {
      divergingEpoch: leaderEpoch,
      divergingOffset: endOffset,
    });
  }

  #onClose(error: BarnabasError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const subscribers = [...this.#subscribers.values()];
    this.#subscribers.clear();
    for (const subscriber of subscribers) subscriber.onEnd(error);
    this.#parts.onClosed(error);
  }

  #ended(): BarnabasError {
    return new BarnabasError('NETWORK_EXCEPTION', `the fetch stream to ${this.address} ended`, {
      address: this.address,
    });
  }
}
