/**
 * Follows the committed metadata log from any controller and keeps the newest image: replays records
 * into deltas, tells publishers in order, and resumes at its own offset when a stream ends, at the
 * same controller or another.
 * Protocol: docs/protocols/metadata.md, section 3.
 *
 * Invariants:
 *   F1  the image's offset never falls: what a controller repeats is skipped, a gap is a fault
 *   F2  publishers see every change once, in order, and never a snapshot that is half loaded
 *   F3  after a fault (`failed`) or stop() nobody is told anything any more
 *   F4  a controller that has known no leader for LEADERLESS_MS is left for another
 */
import { InvariantError, assert, deferred } from '@barnabas/common';
import type { Deferred, Logger, Random, Timer, Timers } from '@barnabas/common';
import { formatAddress } from '@barnabas/common/config';
import { BarnabasError, internal } from '@barnabas/protocol';
import type { Connector, MessageStream } from '@barnabas/rpc';
import { changesBetween } from '../changes.js';
import type { ImageChanges } from '../changes.js';
import { MetadataDelta } from '../delta.js';
import { emptyImage } from '../image.js';
import type { MetadataImage } from '../image.js';
import type { MetadataPublisher, MetadataSource } from '../publisher.js';
import { SnapshotLoader } from '../snapshot.js';
import { Backoff } from './backoff.js';
import type { ControllerDirectory, ControllerPlace } from './controller-directory.js';

export interface MetadataFollowerOptions {
  readonly connector: Connector;
  /** Learns from the stream who votes. */
  readonly controllers: ControllerDirectory;
  /** node.id, or -1 for a node without one. */
  readonly nodeId: number;
  /** The cluster that this node's disk belongs to; empty or absent if it does not know yet. */
  readonly clusterId?: string;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

interface Waiter {
  readonly condition: (image: MetadataImage) => boolean;
  readonly done: Deferred<boolean>;
  readonly timer: Timer;
}

const BACKOFF = { minMs: 20, maxMs: 1_000 };
/**
 * F4: a controller that was taken out of the quorum, or is cut off from it, serves its stream as before,
 * and nothing new comes through it, while the rest of the cluster goes on. Elections are over sooner.
 */
const LEADERLESS_MS = 3_000;

export class MetadataFollower implements MetadataSource {
  #image: MetadataImage = emptyImage;
  #controllerId = -1;
  #clusterId: string;
  #stream: MessageStream<internal.FollowMetadataResponse, never> | undefined;
  #loading: SnapshotLoader | undefined;
  #next: number;
  #retry: Timer | undefined;
  /** Runs while the controller that is followed knows no leader. */
  #leaderless: Timer | undefined;
  #started = false;
  #over = false;
  readonly #publishers: MetadataPublisher[] = [];
  readonly #backoff: Backoff;
  readonly #waiters = new Set<Waiter>();
  readonly #ready = deferred<void>();
  readonly #failed = deferred<never>();

  constructor(private readonly options: MetadataFollowerOptions) {
    this.#clusterId = options.clusterId ?? '';
    this.#next = options.random.below(options.controllers.places.length);
    this.#backoff = new Backoff(BACKOFF, options.random);
    // A fault is for whoever asks; a node that never asks must not die of an unhandled rejection.
    this.#failed.promise.catch(() => {});
    this.#ready.promise.catch(() => {});
  }

  get image(): MetadataImage {
    return this.#image;
  }

  get controllerId(): number {
    return this.#controllerId;
  }

  /** Resolves once there is an image of a cluster and publishers have been told; rejects if that is never to be. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Rejects with the fault (another cluster, a broken log, a throwing publisher) that ended the follower. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Tells `publisher` of every change, after those added before it. Only before start(). */
  addPublisher(publisher: MetadataPublisher): void {
    assert(!this.#started, 'publishers are added before the follower starts', { publisher: publisher.name });
    this.#publishers.push(publisher);
  }

  start(): void {
    if (this.#started || this.#over) return;
    this.#started = true;
    this.#connect();
  }

  stop(): void {
    this.#end(new BarnabasError('BROKER_NOT_AVAILABLE', 'the node is stopping'));
  }

  /** Resolves with true when the image satisfies the condition, with false when it has not in time. */
  waitFor(condition: (image: MetadataImage) => boolean, timeoutMs: number): Promise<boolean> {
    if (condition(this.#image)) return Promise.resolve(true);
    if (this.#over) return Promise.resolve(false);
    const done = deferred<boolean>();
    const timer = this.options.timers.after(timeoutMs, () => this.#settle(waiter, false));
    const waiter: Waiter = { condition, done, timer };
    this.#waiters.add(waiter);
    return done.promise;
  }

  #connect(): void {
    const { connector, controllers, nodeId } = this.options;
    const place = controllers.at(this.#next);
    const client = connector.channel(formatAddress(place)).client(internal.ControllerServiceDefinition);
    const request = { nodeId, fromOffset: this.#image.offset, clusterId: this.#clusterId };
    this.#loading = undefined;
    const stream = client.followMetadata(request);
    this.#stream = stream;
    stream.handle({
      onMessage: (message) => {
        if (this.#stream === stream) this.#guarded(() => this.#receive(message));
      },
      onClose: (error) => {
        if (this.#stream === stream) this.#reconnect(place, error);
      },
    });
  }

  #reconnect(place: ControllerPlace, error: BarnabasError | undefined): void {
    this.#stream = undefined;
    this.#leaderless?.cancel();
    this.#leaderless = undefined;
    if (error?.errorName === 'INCONSISTENT_CLUSTER_ID') return this.#fail(error);
    const delayMs = this.#backoff.next();
    this.options.logger.debug('Metadata stream ended; following another controller', {
      controller: place.id ?? formatAddress(place),
      offset: this.#image.offset,
      delayMs,
      error: error?.message,
    });
    this.#next++;
    this.#retry = this.options.timers.after(delayMs, () => this.#connect());
  }

  #receive(message: internal.FollowMetadataResponse): void {
    this.#backoff.reset();
    this.#controllerId = message.leaderId;
    this.#checkCluster(message.clusterId);
    this.options.controllers.learn(message.voters);
    this.#watchLeader(message.leaderId);
    switch (message.part?.$case) {
      case 'snapshot':
        return this.#loadSnapshot(message.part.snapshot);
      case 'records':
        return this.#replay(message.part.records);
      case undefined:
        return;
    }
  }

  /** F4. */
  #watchLeader(leaderId: number): void {
    if (leaderId !== -1) {
      this.#leaderless?.cancel();
      this.#leaderless = undefined;
      return;
    }
    this.#leaderless ??= this.options.timers.after(LEADERLESS_MS, () => {
      const stream = this.#stream;
      const place = this.options.controllers.at(this.#next);
      this.#reconnect(place, new BarnabasError('NOT_CONTROLLER', 'that controller has known no leader for too long'));
      stream?.cancel();
    });
  }

  #checkCluster(clusterId: string): void {
    if (clusterId === '' || clusterId === this.#clusterId) return;
    if (this.#clusterId !== '') {
      throw new BarnabasError(
        'INCONSISTENT_CLUSTER_ID',
        `this node belongs to cluster ${this.#clusterId}, but its controllers are those of ${clusterId}: check where it looks for controllers (controller.quorum.voters, controller.quorum.bootstrap.servers)`,
      );
    }
    this.#clusterId = clusterId;
  }

  #loadSnapshot(chunk: internal.MetadataSnapshotChunk): void {
    // F1: a controller that lags behind another may offer what is old news.
    if (chunk.endOffset < this.#image.offset) return;
    this.#loading ??= new SnapshotLoader();
    const image = this.#loading.add(chunk);
    if (image === undefined) return;
    this.#loading = undefined;
    this.#publish(changesBetween(this.#image, image), image);
  }

  #replay(batch: internal.MetadataRecordBatch): void {
    if (batch.endOffset <= this.#image.offset) return;
    if (batch.baseOffset !== this.#image.offset) {
      throw new InvariantError('the metadata log has no gaps', {
        expected: this.#image.offset,
        got: batch.baseOffset,
      });
    }
    const delta = new MetadataDelta(this.#image);
    for (const record of batch.records) delta.replay(record);
    this.#publish(delta, delta.apply({ offset: batch.endOffset, term: batch.term }));
  }

  #publish(changes: ImageChanges, image: MetadataImage): void {
    this.#image = image;
    for (const publisher of this.#publishers) {
      if (!this.#over) publisher.publish(changes, image);
    }
    if (image.clusterId !== '') this.#ready.resolve();
    for (const waiter of this.#waiters) if (waiter.condition(image)) this.#settle(waiter, true);
  }

  #guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new InvariantError(String(error)));
    }
  }

  #fail(error: Error): void {
    this.#failed.reject(error);
    this.#end(error);
  }

  #end(reason: Error): void {
    this.#over = true;
    this.#retry?.cancel();
    this.#leaderless?.cancel();
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
    this.#ready.reject(reason);
    for (const waiter of this.#waiters) this.#settle(waiter, false);
  }

  #settle(waiter: Waiter, satisfied: boolean): void {
    this.#waiters.delete(waiter);
    waiter.timer.cancel();
    waiter.done.resolve(satisfied);
  }
}
