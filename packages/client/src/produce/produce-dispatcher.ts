/**
 * Sends the batches of many lanes to the leaders of their partitions: packs what is ready for one
 * node into one request, keeps at most `maxInFlight` requests on their way to each, brings answers
 * back to their lanes, and lets lanes wait out their pauses.
 *
 * What a failure means for a batch is the lane's and its feed's business. Runs in passes: whatever
 * happens asks for a pass, and one pass at the end of the turn serves all that asked.
 *
 * A leader that has been succeeded and does not answer (it is cut off, or its process stands still) is
 * not waited for: what it was sent is sent to its successor, which recognises what it has already.
 */
import type { Timer } from '@barnabas/common';
import { BarnabasError, errorFromProto } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { backoffMs } from '../cluster/backoff.js';
import { partitionName } from '../records.js';
import { leaderName } from '../cluster/cluster-router.js';
import type { ClusterRouter, LeaderEndpoint } from '../cluster/cluster-router.js';
import { isUnreachable } from '../cluster/node-pool.js';
import { LeaderProduceStream } from './leader-produce-stream.js';
import { mayHaveBeenAppended } from './outbound.js';
import type { AppendResult, OutboundBatch } from './outbound.js';
import type { PartitionLane, RequestRoom } from './partition-lane.js';

export interface ProduceDispatcherOptions {
  readonly acks: v1.Acks;
  /** Whether requests with these acks are answered. */
  readonly isAnswered: boolean;
  /** Requests on their way to one node at once. */
  readonly maxInFlight: number;
  /** Bytes of batches in one request; a larger batch goes alone. */
  readonly maxRequestSize: number;
  readonly requestTimeoutMs: number;
}

/**
 * Partitions in one request. When a broker is lost a thousand have something to send at once: the leader
 * works on a small request, and answers it, while it receives the next.
 */
const MAX_PARTS = 128;

/** A leader that has been succeeded refuses what it holds within a round trip; one that does not is given up after this. */
const SUCCEEDED_LEADER_GRACE_MS = 100;

/** What a leader gets longer than it was told, so that its own REQUEST_TIMED_OUT arrives. */
const ANSWER_GRACE_MS = 1_000;

const NOT_ANSWERED: AppendResult = { baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1 };

export class ProduceDispatcher {
  readonly #router: ClusterRouter;
  readonly #options: ProduceDispatcherOptions;
  /** Lanes with something to send or on its way, the one served longest ago first. */
  readonly #lanes = new Set<PartitionLane>();
  readonly #streams = new Map<string, LeaderProduceStream>();
  /** Requests on their way that are answered. */
  readonly #unanswered = new Set<Draft>();
  readonly #stopListening: () => void;
  #isPassDue = false;
  #succeededTimer: Timer | undefined;
  #isClosed = false;
  #wakeTimer: Timer | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #expiryTimer: Timer | undefined;
  #expiryAtMs = Number.POSITIVE_INFINITY;

  constructor(router: ClusterRouter, options: ProduceDispatcherOptions) {
    this.#router = router;
    this.#options = options;
    this.#stopListening = router.onChange(() => {
      this.#lookForSuccessors();
      this.#requestPass();
    });
  }

  /** The lane has something to send, which is to be settled by `deadlineMs`. */
  ready(lane: PartitionLane, deadlineMs: number): void {
    if (this.#isClosed) return;
    this.#lanes.add(lane);
    if (deadlineMs < this.#expiryAtMs) this.#armExpiry(deadlineMs);
    this.#requestPass();
  }

  /** Breaks everything off and settles what is under way with `error`. */
  close(error: BarnabasError): void {
    this.#isClosed = true;
    this.#stopListening();
    this.#wakeTimer?.cancel();
    this.#expiryTimer?.cancel();
    this.#succeededTimer?.cancel();
    for (const lane of this.#lanes) lane.abort(error);
    this.#lanes.clear();
    for (const stream of this.#streams.values()) {
      // With acks 0 nothing is waited for, but what was written must still go out.
      if (stream.inFlight === 0) stream.end();
      else stream.cancel();
    }
    this.#streams.clear();
  }

  #requestPass(): void {
    if (this.#isPassDue || this.#isClosed || this.#lanes.size === 0) return;
    this.#isPassDue = true;
    queueMicrotask(() => {
      this.#isPassDue = false;
      this.#pass();
    });
  }

  #pass(): void {
    if (this.#isClosed) return;
    const drafts = new Map<string, Draft>();
    const served: PartitionLane[] = [];
    for (const lane of this.#lanes) {
      if (lane.isIdle) this.#lanes.delete(lane);
      else if (lane.hasWork && this.#serve(lane, drafts)) served.push(lane);
    }
    for (const lane of served) {
      this.#lanes.delete(lane);
      this.#lanes.add(lane);
    }
    for (const draft of drafts.values()) this.#send(draft);
    // A lane, or all of them, may have more than one request's worth, and the node room for another request.
    const isLeftOver = served.some((lane) => lane.hasWork) || [...drafts.values()].some(({ isFull }) => isFull);
    if (isLeftOver) this.#requestPass();
  }

  /** Puts what the lane may send into the request for its leader. Returns whether it did. */
  #serve(lane: PartitionLane, drafts: Map<string, Draft>): boolean {
    const endpoint = this.#router.leader(lane.topic, lane.partition);
    const nowMs = this.#now();
    if (endpoint === undefined) {
      this.#wakeAt(nowMs + this.#router.options.retryBackoffMaxMs);
      return false;
    }
    if (lane.isPausing(nowMs, leaderName(endpoint))) {
      this.#wakeAt(lane.notBeforeMs);
      return false;
    }
    let draft = drafts.get(endpoint.address);
    if (draft === undefined) {
      const stream = this.#stream(endpoint);
      if (!stream.isWritable || stream.inFlight >= this.#options.maxInFlight) return false;
      draft = new Draft(endpoint, stream, this.#options.maxRequestSize);
      drafts.set(endpoint.address, draft);
    }
    const before = draft.parts.length;
    draft.leader = endpoint;
    lane.fill(draft);
    return draft.parts.length > before;
  }

  #send(draft: Draft): void {
    const { acks, isAnswered, requestTimeoutMs } = this.#options;
    if (draft.parts.length === 0) return;
    const request: v1.ProduceRequest = { acks, timeoutMs: requestTimeoutMs, entries: draft.parts.map(toEntry) };
    if (isAnswered) {
      this.#unanswered.add(draft);
      draft.stream.send(request, (answer, isLast) => this.#onAnswer(draft, answer, isLast));
      return;
    }
    draft.stream.sendUnanswered(request);
    for (const part of draft.parts) this.#settle(part, NOT_ANSWERED);
  }

  #onAnswer(draft: Draft, answer: v1.ProduceResponse | BarnabasError, isLast: boolean): void {
    if (isLast) this.#unanswered.delete(draft);
    if (this.#isClosed) return;
    if (answer instanceof BarnabasError) {
      for (const part of draft.parts) this.#settle(part, answer);
    } else {
      this.#router.reportAnswer(draft.endpoint);
      for (const result of answer.results) {
        const part = draft.parts[result.entry];
        if (part !== undefined) this.#settle(part, outcomeOf(result));
      }
      // What even the last part says nothing about.
      if (isLast) for (const part of draft.parts) if (!part.isSettled) this.#settle(part, outcomeOf(undefined));
    }
    this.#requestPass();
  }

  /** What has been given up meanwhile is on its way elsewhere: an answer that still comes says nothing about that. */
  #settle(part: Part, outcome: AppendResult | BarnabasError): void {
    if (part.isSettled) return;
    part.isSettled = true;
    const { lane, batches, leader } = part;
    if (outcome instanceof BarnabasError) {
      this.#router.reportRefusal(leader, lane, outcome);
      this.#refuse(lane, batches, leader, outcome);
      return;
    }
    let { baseOffset } = outcome;
    for (const batch of batches) {
      lane.settle(batch, { ...outcome, baseOffset }, leaderName(leader), 0);
      if (baseOffset >= 0) baseOffset += batch.recordCount;
    }
  }

  #refuse(lane: PartitionLane, batches: readonly OutboundBatch[], leader: LeaderEndpoint, error: BarnabasError): void {
    if (batches.length > 1 && !error.retriable && !mayHaveBeenAppended(error)) {
      lane.unpack(batches);
      return;
    }
    const { options, environment } = this.#router;
    const policy = { baseMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs };
    const pauseUntilMs = this.#now() + backoffMs(policy, lane.failures + 1, environment.random);
    for (const batch of batches) lane.settle(batch, error, leaderName(leader), pauseUntilMs);
  }

  #lookForSuccessors(): void {
    if (this.#succeededTimer !== undefined) return;
    if (![...this.#unanswered].some(({ parts }) => parts.some((part) => this.#isSucceeded(part)))) return;
    this.#succeededTimer = this.#router.environment.timers.after(SUCCEEDED_LEADER_GRACE_MS, () => {
      this.#succeededTimer = undefined;
      for (const { parts } of this.#unanswered) {
        for (const part of parts) if (this.#isSucceeded(part)) this.#settle(part, succeeded(part));
      }
      this.#requestPass();
    });
  }

  /**
   * Whether another leader has taken over from the one that the entry waits for. Only batches with a
   * sequence are sent to it unasked: the old leader may have appended them, and they may be in the new
   * one's log. Whoever passes requests on follows leaders itself.
   */
  #isSucceeded({ lane, leader, batches, isSettled }: Part): boolean {
    if (isSettled || !leader.isDirect || !batches.every(({ isIdempotent }) => isIdempotent)) return false;
    const now = this.#router.view.topic(lane.topic)?.partitions[lane.partition];
    return (
      now !== undefined && now.leader >= 0 && now.leader !== leader.brokerId && now.leaderEpoch > leader.leaderEpoch
    );
  }

  #stream(endpoint: LeaderEndpoint): LeaderProduceStream {
    const { address } = endpoint;
    const known = this.#streams.get(address);
    if (known !== undefined) return known;
    const stream: LeaderProduceStream = new LeaderProduceStream({
      channel: this.#router.channel(address),
      environment: this.#router.environment,
      answerTimeoutMs: this.#options.requestTimeoutMs + ANSWER_GRACE_MS,
      onReady: () => this.#requestPass(),
      onClosed: (error) => {
        if (this.#streams.get(address) === stream) this.#streams.delete(address);
        this.#ended(endpoint, error);
      },
    });
    this.#streams.set(address, stream);
    return stream;
  }

  #ended(endpoint: LeaderEndpoint, error: BarnabasError): void {
    if (isUnreachable(error)) this.#router.reportUnreachable(endpoint);
    this.#requestPass();
  }

  /** A pass no later than then. */
  #wakeAt(atMs: number): void {
    if (atMs >= this.#wakeAtMs) return;
    this.#wakeTimer?.cancel();
    this.#wakeAtMs = atMs;
    this.#wakeTimer = this.#router.environment.timers.after(atMs - this.#now(), () => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.#requestPass();
    });
  }

  /** Deadlines are far away and rarely met: one look at all lanes when the nearest falls due. */
  #armExpiry(atMs: number): void {
    this.#expiryTimer?.cancel();
    this.#expiryAtMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#expiryTimer = this.#router.environment.timers.after(atMs - this.#now(), () => {
      const nowMs = this.#now();
      let next = Number.POSITIVE_INFINITY;
      for (const lane of this.#lanes) next = Math.min(next, lane.expire(nowMs));
      this.#armExpiry(next);
      this.#requestPass();
    });
  }

  #now(): number {
    return this.#router.environment.clock.monotonic();
  }
}

/** An entry of a request. */
interface Part {
  readonly lane: PartitionLane;
  /** One, or several that have no producer id. */
  readonly batches: OutboundBatch[];
  readonly leader: LeaderEndpoint;
  /** Its batches have come back to their lane. */
  isSettled: boolean;
}

/** A request for one node while it is put together. */
class Draft implements RequestRoom {
  readonly parts: Part[] = [];
  /** The endpoint of the lane being served. */
  leader: LeaderEndpoint;
  /** Somebody has found no room. */
  isFull = false;
  #bytes = 0;

  constructor(
    readonly endpoint: LeaderEndpoint,
    readonly stream: LeaderProduceStream,
    readonly maxBytes: number,
  ) {
    this.leader = endpoint;
  }

  fits(sizeInBytes: number): boolean {
    const { length } = this.parts;
    const fits = length === 0 || (length < MAX_PARTS && this.#bytes + sizeInBytes <= this.maxBytes);
    this.isFull ||= !fits;
    return fits;
  }

  add(lane: PartitionLane, batch: OutboundBatch): void {
    this.#bytes += batch.bytes.length;
    const last = this.parts.at(-1);
    if (last?.lane === lane && !batch.isIdempotent && last.batches[0]?.isIdempotent === false) last.batches.push(batch);
    else this.parts.push({ lane, batches: [batch], leader: this.leader, isSettled: false });
  }
}

function succeeded({ lane, leader }: Part): BarnabasError {
  const { topic, partition } = lane;
  return new BarnabasError(
    'NETWORK_EXCEPTION',
    `broker ${leader.brokerId} leads ${partitionName(topic, partition)} no more and has not answered`,
    { topic, partition, leader: leader.brokerId, leaderEpoch: leader.leaderEpoch },
  );
}

/**
 * The epoch keeps a leader of the past from judging what it cannot know. A batch may go to broker A in
 * epoch 1 and be lost from sight there; B, which led before A and has not heard of it, would call its
 * sequence out of order, and be believed.
 */
function toEntry({ lane, batches, leader }: Part): v1.ProduceEntry {
  const [only] = batches;
  const isOne = only !== undefined && batches.length === 1;
  const batch = isOne ? only.bytes : Buffer.concat(batches.map(({ bytes }) => bytes));
  const { topic, partition } = lane;
  return { topic, partition, payload: { $case: 'batch', batch }, currentLeaderEpoch: leader.leaderEpoch };
}

function outcomeOf(result: v1.ProduceResult | undefined): AppendResult | BarnabasError {
  if (result === undefined) {
    return new BarnabasError('UNKNOWN_SERVER_ERROR', 'a leader left an entry out of its produce answer');
  }
  return result.error === undefined ? result : errorFromProto(result.error);
}
