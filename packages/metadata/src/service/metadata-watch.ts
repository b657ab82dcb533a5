/**
 * MetadataService/WatchMetadata: the state, then each change as it is committed.
 *
 * A watcher that reads slowly costs no memory: while its transport is full nothing is queued for it,
 * and when it drains it gets the newest state as a whole (`full`) in place of what it missed.
 *
 * Errors: BROKER_NOT_AVAILABLE while this node has no metadata, and once it stops; INVALID_REQUEST for too many names.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { ResponseStream } from '@barnabas/rpc';
import type { ImageChanges } from '../changes.js';
import type { MetadataImage, TopicImage } from '../image.js';
import type { MetadataPublisher, MetadataSource } from '../publisher.js';
import { allBrokers, allTopics, brokerMessage, topicMessage } from './views.js';

/** One watcher's side of the stream. */
interface Watcher {
  readonly stream: ResponseStream<v1.WatchMetadataResponse>;
  /** Undefined: all topics. */
  readonly names: ReadonlySet<string> | undefined;
  /** The transport is full. */
  blocked: boolean;
  /** Something changed while it was. */
  behind: boolean;
  controllerId: number;
}

export class MetadataWatches implements MetadataPublisher {
  readonly name = 'metadata watches';
  readonly #watchers = new Set<Watcher>();
  #isStopped = false;

  constructor(private readonly source: MetadataSource) {}

  get size(): number {
    return this.#watchers.size;
  }

  add(names: readonly string[], stream: ResponseStream<v1.WatchMetadataResponse>): void {
    if (this.#isStopped) throw stopping();
    const watched = names.length === 0 ? undefined : new Set(names);
    const watcher: Watcher = { stream, names: watched, blocked: false, behind: false, controllerId: -1 };
    this.#watchers.add(watcher);
    stream.handle({
      onMessage() {},
      onDrain: () => {
        watcher.blocked = false;
        if (watcher.behind) this.#sendFull(watcher);
      },
      onClose: () => this.#watchers.delete(watcher),
    });
    this.#sendFull(watcher);
  }

  publish(changes: ImageChanges, image: MetadataImage): void {
    // Most watchers watch everything: they share one message.
    let shared: v1.WatchMetadataResponse | undefined;
    for (const watcher of this.#watchers) {
      if (watcher.blocked) {
        watcher.behind = true;
        continue;
      }
      const { names } = watcher;
      const message =
        names === undefined ? (shared ??= this.#change(changes, image)) : this.#change(changes, image, names);
      if (!isEmpty(message) || watcher.controllerId !== message.controllerId) this.#send(watcher, message);
    }
  }

  /** Ends every stream in good order and takes no more: watchers go to another node. */
  stop(): void {
    this.#isStopped = true;
    for (const watcher of this.#watchers) watcher.stream.end();
    this.#watchers.clear();
  }

  #sendFull(watcher: Watcher): void {
    const { image } = this.source;
    const { names } = watcher;
    const topics = names === undefined ? allTopics(image) : namedTopics(image, names).map(topicMessage);
    watcher.behind = false;
    this.#send(watcher, { ...this.#message(image), full: true, brokers: allBrokers(image), topics });
  }

  #send(watcher: Watcher, message: v1.WatchMetadataResponse): void {
    watcher.controllerId = message.controllerId;
    watcher.blocked = !watcher.stream.write(message);
  }

  #change(changes: ImageChanges, image: MetadataImage, names?: ReadonlySet<string>): v1.WatchMetadataResponse {
    const watched = (topic: TopicImage) => names === undefined || names.has(topic.name);
    const message = this.#message(image);
    for (const { topic } of changes.changedTopics) if (watched(topic)) message.topics.push(topicMessage(topic));
    for (const topic of changes.removedTopics.values()) {
      // A topic that exists again under its name is in `topics`, with its new id.
      if (watched(topic) && image.topics.named(topic.name) === undefined) message.removedTopics.push(topic.name);
    }
    for (const id of changes.changedBrokers) {
      const broker = image.brokers.get(id);
      if (broker === undefined) message.removedBrokers.push(id);
      else message.brokers.push(brokerMessage(broker));
    }
    return message;
  }

  #message(image: MetadataImage): v1.WatchMetadataResponse {
    return {
      full: false,
      clusterId: image.clusterId,
      controllerId: this.source.controllerId,
      brokers: [],
      removedBrokers: [],
      topics: [],
      removedTopics: [],
      metadataOffset: image.offset,
    };
  }
}

function namedTopics(image: MetadataImage, names: ReadonlySet<string>): TopicImage[] {
  return [...names].flatMap((name) => image.topics.named(name) ?? []);
}

function stopping(): BarnabasError {
  return new BarnabasError('BROKER_NOT_AVAILABLE', 'this node is stopping: watch metadata at another');
}

function isEmpty(message: v1.WatchMetadataResponse): boolean {
  const { topics, removedTopics, brokers, removedBrokers } = message;
  return topics.length + removedTopics.length + brokers.length + removedBrokers.length === 0;
}
