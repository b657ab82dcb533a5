/**
 * Runs one loaded shard (core/group/group-shard.ts) on the log of its partition, under that file's rules:
 * decides, appends, replays, and answers when what an answer rests on is committed.
 *
 *   R2  records are appended and replayed in the turn of their decision; an append that is refused leaves
 *       nothing behind: COORDINATOR_NOT_AVAILABLE. A decision that is cut off between two batches stands as
 *       far as it went, and its answer is the same
 *   R3  every answer, refusals too, waits for the log end that its decision left behind. When that takes
 *       longer than offsets.commit.timeout.ms: REQUEST_TIMED_OUT if something was written, which may yet
 *       be committed; else COORDINATOR_NOT_AVAILABLE
 *   R4  `stop` answers whatever waits; nothing is decided afterwards
 *   R5  ticks come from a timer
 *
 * Owns: when the shard is asked. Does not own: what it decides; loading (shard-loader.ts); who leads
 * (group-coordinator.ts).
 * Protocol: docs/protocols/groups.md, sections 1 and 12.
 */
import { InvariantError } from '@barnabas/common';
import type { Clock, Timer, Timers } from '@barnabas/common';
import type { ImageChanges, MetadataImage, TopicImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type {
  Decision,
  GroupRecord,
  GroupSettings,
  GroupShard,
  HeartbeatRequest,
  HeartbeatResponse,
  Now,
  Nudge,
} from '../core/group/index.js';
import { CommitWaits } from './commit-waits.js';
import type { GroupLog } from './group-log.js';
import type { GroupMetrics } from './group-metrics.js';
import { HeldHeartbeats } from './held-heartbeats.js';
import { notCommitted, notWritten, undecided } from './outcome.js';
import type { Outcome } from './outcome.js';
import { encodeDecision } from './record-batches.js';

export type Decide<R> = (shard: GroupShard, now: Now, image: MetadataImage) => Decision<R>;

export interface ShardRunnerOptions {
  readonly shard: GroupShard;
  readonly log: GroupLog;
  readonly settings: GroupSettings;
  /** offsets.commit.timeout.ms. */
  readonly commitTimeoutMs: number;
  readonly image: () => MetadataImage;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: GroupMetrics;
  readonly onFault: (fault: Error) => void;
}

/** How long a heartbeat may wait for something to tell its member, and what says that its caller is gone. */
export interface Patience {
  readonly waitMs: number;
  readonly signal?: () => AbortSignal;
}

const SCRATCH_BYTES = 4_096;
/** Members that are told of something in one turn of the event loop. */
const TOLD_PER_TURN = 50;
/** Before an append that time or metadata asked for is tried again. */
const RETRY_MS = 500;
/** Ticks come at least so many times in a session timeout (R5 asks for 2). */
const TICKS_PER_SESSION = 3;

export class ShardRunner {
  readonly #waits: CommitWaits;
  readonly #held: HeldHeartbeats;
  /** For one decision after the other (L3 in group-log.ts): buffers of their own would keep V8 collecting. */
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** Members to be heard again: there may be news for them. */
  readonly #due: { readonly groupId: string; readonly memberId: string }[] = [];
  #telling = false;
  #stopped: BarnabasError | undefined;
  #tick: { readonly at: number; readonly timer: Timer } | undefined;
  #tellLater: Timer | undefined;
  /** Topics whose removal could not be written down yet; undefined: the shard has seen all metadata. */
  #unseen: Map<string, TopicImage> | undefined;

  constructor(private readonly options: ShardRunnerOptions) {
    const { commitTimeoutMs, clock, timers } = options;
    this.#waits = new CommitWaits({ timeoutMs: commitTimeoutMs, clock, timers });
    this.#held = new HeldHeartbeats(timers);
  }

  get shard(): GroupShard {
    return this.options.shard;
  }

  /** Answers that wait for the high watermark. */
  get waiting(): number {
    return this.#waits.size;
  }

  /** Heartbeats that wait for news. */
  get held(): number {
    return this.#held.size;
  }

  /** The shard is loaded: metadata is looked at, and time begins. `removed`: topics whose end was seen meanwhile. */
  start(removed: ReadonlyMap<string, TopicImage>): void {
    this.#unseen = new Map(removed);
    this.#lookAgain();
    this.#arm();
  }

  /** Rejects with what the shard refuses, and with what R2 to R4 say. */
  async request<R>(decide: Decide<R>): Promise<R> {
    const outcome = this.#decide(decide);
    this.#tell();
    return this.#committed(outcome);
  }

  /**
   * Like `request`, but an answer that would tell the member nothing waits, for as long as the member is
   * patient, until there is something to tell.
   */
  async heartbeat(request: HeartbeatRequest, patience: Patience): Promise<HeartbeatResponse> {
    const { clock, metrics } = this.options;
    const { groupId, memberId, incarnation } = request;
    const startedAt = clock.monotonic();
    const earlier = this.#held.find(groupId, memberId)?.request;
    const outcome = this.#beat(request);
    // Two requests of one member: the later one speaks for it, and is the answer to both. Asked again, the
    // earlier one could be refused for an epoch that the later one has just left behind.
    if (earlier?.incarnation === incarnation) this.#settle(earlier, outcome);
    else if (earlier !== undefined && earlier.incarnation < incarnation) this.#settle(earlier, this.#beat(earlier));
    this.#tell();
    let waitedMs = 0;
    try {
      if (patience.waitMs <= 0 || outcome.kind !== 'answer' || hasNews(request, outcome.response)) {
        return await this.#committed(outcome);
      }
      const heldAt = clock.monotonic();
      const told = await this.#held.hold({ request, outcome }, patience.waitMs, patience.signal?.());
      waitedMs = clock.monotonic() - heldAt;
      return await this.#committed(told);
    } finally {
      metrics.heartbeatTook(clock.monotonic() - startedAt - waitedMs);
    }
  }

  /** After every change of the metadata, in order. */
  metadataChanged(changes: ImageChanges): void {
    if (this.#stopped !== undefined) return;
    if (this.#unseen !== undefined) {
      for (const [id, topic] of changes.removedTopics) this.#unseen.set(id, topic);
      this.#lookAgain();
      return;
    }
    const outcome = this.#decide((shard, _now, image) => shard.metadataChanged(image, changes));
    if (outcome.kind !== 'answer') {
      this.#unseen = new Map(changes.removedTopics);
      this.#arm();
    }
    this.#tell();
  }

  /** The high watermark has moved. Called from inside of the log's turns: decides nothing. */
  advance(): void {
    this.#waits.advance(this.options.log.highWatermark);
  }

  /** Answers whatever waits with the error. What was decided may yet be committed. */
  stop(error: BarnabasError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#tick?.timer.cancel();
    this.#tellLater?.cancel();
    this.#due.length = 0;
    this.#waits.fail(error);
    this.#held.settleAll({ kind: 'failed', error });
  }

  // --- deciding ---

  #decide<R>(decide: Decide<R>): Outcome<R> {
    if (this.#stopped !== undefined) return { kind: 'failed', error: this.#stopped };
    const { shard, log } = this.options;
    const now = this.#now();
    let decision: Decision<R>;
    try {
      decision = decide(shard, now, this.options.image());
    } catch (error) {
      if (!(error instanceof BarnabasError)) throw error;
      return { kind: 'refused', error, endOffset: log.logEndOffset };
    }
    const { records, response, nudges } = decision;
    const error = records.length === 0 ? undefined : this.#write(records, now);
    this.#nudged(nudges);
    if (error !== undefined) return { kind: 'failed', error };
    return { kind: 'answer', response, endOffset: log.logEndOffset, wrote: records.length > 0 };
  }

  #beat(request: HeartbeatRequest): Outcome<HeartbeatResponse> {
    return this.#decide((shard, now, image) => shard.heartbeat(request, now, image));
  }

  /** Appends and replays; says why if not all of it could be appended. */
  #write(records: readonly GroupRecord[], now: Now): BarnabasError | undefined {
    const { shard, log, commitTimeoutMs, metrics } = this.options;
    let batches;
    try {
      const { maxBatchBytes } = log;
      batches = encodeDecision(records, { maxBatchBytes, timestamp: now.wallMs, scratch: this.#scratch });
    } catch (error) {
      if (error instanceof BarnabasError) return error;
      throw error;
    }
    const written: GroupRecord[] = [];
    let refusal: BarnabasError | undefined;
    for (const batch of batches) {
      refusal = log.append(batch.bytes, commitTimeoutMs);
      if (refusal !== undefined) break;
      for (const record of batch.records) {
        shard.replay(record, now);
        if (record.type !== 'offsetCommit') written.push(record);
        if ('memberId' in record.key) this.#heardOf(record.key.groupId, record.key.memberId);
      }
      metrics.wrote(batch.records);
    }
    if (written.length > 0) {
      shard.check(written);
      this.#arm();
    }
    return refusal === undefined ? undefined : notWritten(refusal);
  }

  // --- answering ---

  async #committed<R>(outcome: Outcome<R>): Promise<R> {
    if (outcome.kind === 'failed') throw outcome.error;
    if (this.#stopped !== undefined) throw this.#stopped;
    const { endOffset } = outcome;
    if (this.options.log.highWatermark < endOffset) {
      const wrote = outcome.kind === 'answer' && outcome.wrote;
      await this.#waits.reached(endOffset, wrote ? undecided : notCommitted);
    }
    if (outcome.kind === 'refused') throw outcome.error;
    return outcome.response;
  }

  #settle({ groupId, memberId }: HeartbeatRequest, outcome: Outcome<HeartbeatResponse>): void {
    this.#held.settle(groupId, memberId, outcome);
  }

  #nudged(nudges: readonly Nudge[]): void {
    if (this.#held.size === 0) return;
    for (const { groupId, memberIds } of nudges) for (const memberId of memberIds) this.#heardOf(groupId, memberId);
  }

  #heardOf(groupId: string, memberId: string): void {
    if (this.#held.find(groupId, memberId) !== undefined) this.#due.push({ groupId, memberId });
  }

  /**
   * Asks the shard again for members who wait, where there may be news for them. What they are told may be
   * news for others in turn.
   */
  #tell(): void {
    if (this.#telling || this.#due.length === 0) return;
    this.#telling = true;
    try {
      for (let told = 0; told < TOLD_PER_TURN; told++) {
        const next = this.#due.shift();
        if (next === undefined) return;
        const request = this.#held.find(next.groupId, next.memberId)?.request;
        if (request === undefined) continue;
        const outcome = this.#beat(request);
        if (outcome.kind !== 'answer' || hasNews(request, outcome.response)) this.#settle(request, outcome);
      }
    } finally {
      this.#telling = false;
    }
    this.#tellLater ??= this.options.timers.after(0, () => {
      this.#tellLater = undefined;
      this.#guarded(() => this.#tell());
    });
  }

  // --- time ---

  #arm(): void {
    if (this.#stopped !== undefined) return;
    const { shard, settings, clock, timers } = this.options;
    const now = clock.monotonic();
    const latest = now + (this.#unseen === undefined ? settings.sessionTimeoutMs / TICKS_PER_SESSION : RETRY_MS);
    const at = Math.min(shard.wakeAt, latest);
    if (this.#tick !== undefined && this.#tick.at <= at) return;
    this.#tick?.timer.cancel();
    const timer = timers.after(Math.max(0, at - now), () => {
      this.#tick = undefined;
      this.#guarded(() => this.#onTick());
    });
    this.#tick = { at, timer };
  }

  #onTick(): void {
    if (this.#stopped !== undefined) return;
    const { shard, image } = this.options;
    const now = this.#now();
    for (const { records, nudges } of shard.tick(now, image())) {
      // What is refused stays due.
      this.#write(records, now);
      this.#nudged(nudges);
    }
    if (this.#unseen !== undefined) this.#lookAgain();
    this.#arm();
    this.#tell();
  }

  /** Everything that the metadata may mean for the groups, where it is not known what they have seen of it. */
  #lookAgain(): void {
    const removedTopics = this.#unseen ?? new Map<string, TopicImage>();
    const outcome = this.#decide((shard, _now, image) =>
      removedTopics.size === 0
        ? shard.metadataChanged(image)
        : shard.metadataChanged(image, { ...NO_CHANGES, base: image, removedTopics }),
    );
    if (outcome.kind === 'answer') this.#unseen = undefined;
    this.#tell();
  }

  #now(): Now {
    const { clock } = this.options;
    return { monotonicMs: clock.monotonic(), wallMs: clock.now() };
  }

  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.options.onFault(error instanceof Error ? error : new InvariantError(String(error)));
    }
  }
}

const NO_CHANGES: Omit<ImageChanges, 'base' | 'removedTopics'> = {
  changedTopics: [],
  changedBrokers: new Set(),
  changedTopicConfigs: new Set(),
  changedBrokerConfigs: new Set(),
};

/** Whether the member would learn something. One that joins or leaves always does. */
function hasNews(request: HeartbeatRequest, { memberEpoch, assignment }: HeartbeatResponse): boolean {
  return request.memberEpoch <= 0 || memberEpoch !== request.memberEpoch || assignment !== undefined;
}
