/**
 * ControllerService/FollowMetadata: each follower gets the committed log from its offset on, or a
 * snapshot first when the tail does not reach back so far, then every batch as it is committed.
 * Protocol: docs/protocols/metadata.md, section 3.
 *
 * A slow follower holds nothing but its own position: it is sent to only while its transport takes
 * more, from the tail that all share; when that has moved on without it, it gets the newest image as
 * a snapshot instead of what it missed.
 *
 * Errors: INCONSISTENT_CLUSTER_ID, INVALID_REQUEST (a negative offset).
 */
import { snapshotChunks } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import type { ResponseStream } from '@barnabas/rpc';
import type { Batch } from '../core/index.js';
import { MetadataTail } from './metadata-tail.js';

export interface MetadataFeedsOptions {
  /** The committed image. */
  readonly image: () => MetadataImage;
  readonly quorum: () => QuorumView;
  /** Bytes of batches kept for followers. */
  readonly tailBytes?: number;
  readonly snapshotPieceBytes?: number;
}

/** The quorum as this controller knows it. */
export interface QuorumView {
  /** Node id of the active controller, or -1. */
  readonly leaderId: number;
  /** Made when it is asked for. */
  readonly voters: readonly internal.QuorumVoter[];
}

type Part = internal.FollowMetadataResponse['part'];

interface Feed {
  readonly stream: ResponseStream<internal.FollowMetadataResponse>;
  /** The next offset that the follower wants. */
  offset: number;
  /** The rest of the snapshot that is being sent, and the offset it ends at. */
  snapshot: { readonly pieces: Iterator<internal.MetadataSnapshotChunk>; readonly endOffset: number } | undefined;
  blocked: boolean;
  /** What it has been told last: who leads, and who votes. */
  toldLeader: number;
  toldVoters: string;
}

const TAIL_BYTES = 16 * 1024 * 1024;
const SNAPSHOT_PIECE_BYTES = 256 * 1024;

export class MetadataFeeds {
  readonly #feeds = new Set<Feed>();
  #isStopped = false;
  readonly #tail: MetadataTail;

  constructor(private readonly options: MetadataFeedsOptions) {
    this.#tail = new MetadataTail(options.tailBytes ?? TAIL_BYTES);
  }

  get size(): number {
    return this.#feeds.size;
  }

  add(request: internal.FollowMetadataRequest, stream: ResponseStream<internal.FollowMetadataResponse>): void {
    if (this.#isStopped) throw stopping();
    this.#check(request);
    const feed: Feed = {
      stream,
      offset: request.fromOffset,
      snapshot: undefined,
      blocked: false,
      toldLeader: -1,
      toldVoters: '',
    };
    stream.handle({
      onMessage() {},
      onDrain: () => {
        feed.blocked = false;
        this.#pump(feed);
      },
      onClose: () => this.#feeds.delete(feed),
    });
    this.#feeds.add(feed);
    // A new follower wants the state, not the history that led to it.
    if (feed.offset === 0 && this.options.image().offset > 0) this.#beginSnapshot(feed);
    this.#sendQuorum(feed);
    this.#pump(feed);
  }

  /** A batch has been committed; `bytes` is its size. */
  append(batch: Batch, bytes: number): void {
    this.#tail.append(batch, bytes);
    for (const feed of this.#feeds) this.#pump(feed);
  }

  /** The image has been replaced by a snapshot. */
  restart(): void {
    this.#tail.restart(this.options.image().offset);
    for (const feed of this.#feeds) this.#pump(feed);
  }

  /** Tells followers who leads and who votes, where that has changed since they were told. */
  announceQuorum(): void {
    const { leaderId } = this.options.quorum();
    const names = this.#voterNames();
    for (const feed of this.#feeds) {
      const isNews = feed.toldLeader !== leaderId || feed.toldVoters !== names;
      // One that is blocked is told at the next announcement.
      if (isNews && !feed.blocked) this.#sendQuorum(feed);
    }
  }

  /** Ends all streams in good order and takes no more: followers go to another controller. */
  stop(): void {
    this.#isStopped = true;
    for (const { stream } of this.#feeds) stream.end();
    this.#feeds.clear();
  }

  #check({ clusterId, fromOffset }: internal.FollowMetadataRequest): void {
    const image = this.options.image();
    if (!Number.isSafeInteger(fromOffset) || fromOffset < 0) {
      throw new BarnabasError('INVALID_REQUEST', `from_offset must not be negative: ${fromOffset}`);
    }
    if (clusterId !== '' && image.clusterId !== '' && clusterId !== image.clusterId) {
      throw new BarnabasError(
        'INCONSISTENT_CLUSTER_ID',
        `the follower belongs to cluster ${clusterId}, this is ${image.clusterId}: check controller.quorum.voters`,
      );
    }
  }

  #pump(feed: Feed): void {
    while (!feed.blocked) {
      if (feed.snapshot !== undefined) this.#sendPiece(feed, feed.snapshot);
      else if (feed.offset < this.#tail.startOffset) this.#beginSnapshot(feed);
      // A follower may be ahead of a controller that lags: it waits.
      else if (feed.offset >= this.#tail.endOffset) return;
      else this.#sendBatch(feed, this.#tail.at(feed.offset));
    }
  }

  #beginSnapshot(feed: Feed): void {
    const image = this.options.image();
    const pieces = snapshotChunks(image, this.options.snapshotPieceBytes ?? SNAPSHOT_PIECE_BYTES);
    feed.snapshot = { pieces, endOffset: image.offset };
  }

  #sendPiece(feed: Feed, { pieces, endOffset }: NonNullable<Feed['snapshot']>): void {
    const { value: snapshot } = pieces.next();
    if (snapshot?.last !== false) {
      feed.snapshot = undefined;
      feed.offset = endOffset;
    }
    if (snapshot !== undefined) this.#send(feed, { $case: 'snapshot', snapshot });
  }

  #sendBatch(feed: Feed, batch: Batch): void {
    feed.offset = batch.endOffset;
    this.#send(feed, { $case: 'records', records: batch });
  }

  #sendQuorum(feed: Feed): void {
    feed.toldVoters = this.#voterNames();
    this.#send(feed, undefined, this.options.quorum().voters);
  }

  #send(feed: Feed, part: Part, voters: readonly internal.QuorumVoter[] = []): void {
    const { clusterId } = this.options.image();
    const { leaderId } = this.options.quorum();
    feed.toldLeader = leaderId;
    feed.blocked = !feed.stream.write({ clusterId, leaderId, voters: [...voters], part });
  }

  /** Who they are and where, which is what a follower needs of them. */
  #voterNames(): string {
    const { voters } = this.options.quorum();
    return voters.map(({ id, host, port }) => `${id}@${host}:${port}`).join();
  }
}

function stopping(): BarnabasError {
  return new BarnabasError('NOT_CONTROLLER', 'this controller is stopping: follow another one');
}
