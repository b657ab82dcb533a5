/**
 * One membership in a group: drives a Member by timers and calls, so that heartbeats depend on nobody's
 * code but the event loop's turning; tells its listener what comes and goes; commits.
 *
 * Owns: when calls are made. Does not own: what is said (core/member.ts), who coordinates (group-calls.ts), in
 * which order commits go (member-offsets.ts), which partitions the listener knows of (arrivals.ts), what is
 * done with them (the listener).
 *
 * After `left`, `onFatal` or `abandon` the listener hears nothing more.
 */
import type { Timer } from '@barnabas/common';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import type { TopicPartition } from '../records.js';
import { Arrivals } from './arrivals.js';
import { Member } from './core/member.js';
import type { Heartbeat, MemberEffect, ResumedMember } from './core/member-rules.js';
import { GroupCalls } from './group-calls.js';
import type {
  CommitOutcome,
  FetchedOffset,
  GroupTopicPartition,
  MemberIdentity,
  OffsetOfMember,
} from './group-types.js';
import { heartbeatRequest, toAnswer } from './group-wire.js';
import { newMemberId } from './member-id.js';
import { MemberOffsets } from './member-offsets.js';
import type { CommitOptions, PartitionToFetch } from './member-offsets.js';

export interface MembershipOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  /** RE2, for whole names; empty: none. */
  readonly pattern: string;
  /** group.instance.id; empty: not a static member. */
  readonly instanceId: string;
  readonly rackId: string;
  readonly clientId: string;
  /** Where the client is, where a node speaks for it; absent: the coordinator sees for itself. */
  readonly clientHost?: string;
  /** Empty: the group's. */
  readonly assignor: string;
  /** How long the application may take to give partitions up (max.poll.interval.ms). */
  readonly rebalanceTimeoutMs: number;
  /** Somebody else may take the member's id up: a node that speaks for a client says true. Default false. */
  readonly isResumable?: boolean;
  readonly resume?: MembershipToResume;
  /**
   * Where the member is somebody else: resolves once he has been heard of, which may be never. No heartbeat goes
   * before that, so that a session counts from when he was last there, and not from when this process noticed.
   */
  readonly isThere?: () => Promise<void>;
}

/** A membership that broke off, and the incarnation in which it goes on. */
export interface MembershipToResume extends Omit<ResumedMember, 'owned'> {
  readonly owned: readonly TopicPartition[];
}

export interface MembershipListener {
  /** Also after a membership that was lost and begun anew. */
  onJoined(identity: MemberIdentity): void;
  /** The member's epoch is another: what a membership is resumed with. */
  onEpoch?(identity: MemberIdentity): void;
  /** Of a membership that is resumed also what it has owned before and still does. Owned from now on, and how far each has been read, in the same order. */
  onAssigned(partitions: readonly GroupTopicPartition[], committed: readonly FetchedOffset[]): void;
  /** Stop; say `released` when done. After the grace they are given up without it. */
  onRevoked(partitions: readonly GroupTopicPartition[], graceMs: number): void;
  /** They may be another's already; the membership begins anew by itself. */
  onLost(partitions: readonly GroupTopicPartition[], error: BarnabasError): void;
  /** The membership is over, everything is gone. */
  onFatal(error: BarnabasError): void;
}

export class Membership {
  readonly #router: ClusterRouter;
  readonly #options: MembershipOptions;
  readonly #listener: MembershipListener;
  readonly #calls: GroupCalls;
  readonly #member: Member;
  readonly #offsets: MemberOffsets;
  readonly #breakers = new Map<number, AbortController>();
  readonly #arrivals: Arrivals;
  #timer: Timer | undefined;
  #isDraining = false;
  #isSilent = false;
  #whenLeft: (() => void) | undefined;

  constructor(router: ClusterRouter, options: MembershipOptions, listener: MembershipListener) {
    this.#router = router;
    this.#options = options;
    this.#listener = listener;
    this.#calls = new GroupCalls(router, options.groupId);
    const { instanceId, rebalanceTimeoutMs, topics, pattern, isResumable = false, resume } = options;
    this.#member = new Member({
      instanceId,
      rebalanceTimeoutMs,
      subscription: { topics, pattern },
      isResumable,
      resume: resume && { ...resume, owned: resume.owned.map((one) => this.#withTopicId(one)) },
      newMemberId: () => newMemberId(router.environment.random),
    });
    this.#offsets = new MemberOffsets(router, this.#calls, {
      identity: () => (this.#member.isMember ? this.#member.identity : undefined),
      ask: () => this.#step(() => this.#member.ask(this.#now())),
    });
    this.#arrivals = new Arrivals(router.environment.timers, resume?.owned ?? [], {
      fetch: (partitions) => this.#offsets.fetch(partitions),
      onArrived: (partitions, committed) => listener.onAssigned(partitions, committed),
      onFailed: (error) => this.#fail(error),
    });
  }

  get identity(): MemberIdentity {
    return this.#member.identity;
  }

  /** It has joined, and neither left nor been fenced since. */
  get isMember(): boolean {
    return this.#member.isMember;
  }

  /** Joins, or resumes. Called once. */
  start(): void {
    this.#step(() => this.#member.start(this.#now()));
  }

  subscribe(topics: readonly string[], pattern: string): void {
    this.#step(() => this.#member.subscribe({ topics, pattern }, this.#now()));
  }

  /** The application works on these no more. */
  released(partitions: readonly TopicPartition[]): void {
    this.#step(() => this.#member.released(partitions, this.#now()));
  }

  /** Asks for another look at the assignment. */
  enforceRebalance(): void {
    this.#step(() => this.#member.enforceRebalance(this.#now()));
  }

  /** Commits for this member at its epoch, behind every commit before: see MemberOffsets. */
  commit(offsets: readonly OffsetOfMember[], options?: CommitOptions): Promise<readonly CommitOutcome[]> {
    const named = offsets.map((one) => {
      const topicId = one.topicId ?? this.#member.topicIdOf(one);
      return topicId === undefined ? one : { ...one, topicId };
    });
    return this.#offsets.commit(named, options);
  }

  /** How far the group has read these; refused to a member that has been fenced. */
  fetchOffsets(partitions: readonly PartitionToFetch[], timeoutMs?: number): Promise<readonly FetchedOffset[]> {
    return this.#offsets.fetch(partitions, timeoutMs);
  }

  /** Leaves the group: everything is given up as this is called. Resolves when the coordinator knows, or the time is over. */
  async leave(timeoutMs: number): Promise<void> {
    this.#silence();
    const left = new Promise<void>((resolve) => {
      this.#whenLeft = resolve;
    });
    this.#step(() => this.#member.leave(this.#now()));
    if (this.#member.isOver) this.#whenLeft?.();
    const timer = this.#router.environment.timers.after(timeoutMs, () => this.abandon());
    await left;
    timer.cancel();
  }

  /** Says nothing to the coordinator: the session runs, and somebody may resume. */
  abandon(): void {
    this.#silence();
    this.#step(() => this.#member.abandon());
    this.#whenLeft?.();
  }

  // --- driving the member ---

  #step(input: () => void): void {
    input();
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let effects = this.#member.takeEffects(); effects.length > 0; effects = this.#member.takeEffects()) {
        for (const effect of effects) this.#perform(effect);
      }
    } finally {
      this.#isDraining = false;
    }
    this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const deadlineMs = this.#member.nextDeadlineMs;
    if (deadlineMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(0, deadlineMs - this.#now());
    this.#timer = this.#router.environment.timers.after(delayMs, () =>
      this.#step(() => this.#member.tick(this.#now())),
    );
  }

  #perform(effect: MemberEffect): void {
    switch (effect.kind) {
      case 'send':
        void this.#send(effect.id, effect.heartbeat);
        return;
      case 'cancel':
        this.#breakers.get(effect.id)?.abort();
        return;
      case 'farewell':
        void this.#say(effect.heartbeat, new AbortController().signal).catch(() => undefined);
        return;
      case 'left':
        this.#logLeaving(effect.error);
        this.#whenLeft?.();
        return;
      case 'waiting':
        this.#router.environment.logger.warn(
          'another member has this group.instance.id: waiting for its session to end',
          {
            group: this.#calls.groupId,
            error: effect.error.message,
            action: 'stop the other member, or give each its own group.instance.id',
          },
        );
        return;
      default:
        if (!this.#isSilent) this.#tell(effect);
    }
  }

  #tell(effect: Extract<MemberEffect, { kind: 'joined' | 'moved' | 'assigned' | 'revoked' | 'lost' | 'fatal' }>): void {
    switch (effect.kind) {
      case 'joined':
        this.#listener.onJoined(this.identity);
        return;
      case 'moved':
        this.#listener.onEpoch?.(this.identity);
        return;
      case 'assigned':
        this.#arrivals.expect(effect.partitions);
        return;
      case 'revoked':
        this.#revoke(effect.partitions, effect.graceMs);
        return;
      case 'lost':
        this.#listener.onLost(this.#arrivals.lost(effect.partitions), effect.error);
        return;
      case 'fatal':
        this.#silence();
        this.#listener.onFatal(effect.error);
    }
  }

  async #send(id: number, heartbeat: Heartbeat): Promise<void> {
    const breaker = new AbortController();
    this.#breakers.set(id, breaker);
    try {
      if (this.#options.isThere !== undefined) await this.#whenThere(this.#options.isThere, heartbeat, breaker.signal);
      const answer = toAnswer(await this.#say(heartbeat, breaker.signal));
      this.#step(() => this.#member.answered(id, answer, this.#now()));
    } catch (thrown) {
      const error = toBarnabasError(thrown);
      this.#step(() => this.#member.failed(id, error, this.#now()));
    } finally {
      this.#breakers.delete(id);
    }
  }

  /** Until whom this is for has been heard of; rejects when the heartbeat is broken off, or its patience is over. */
  async #whenThere(isThere: () => Promise<void>, { kind, patienceMs }: Heartbeat, signal: AbortSignal): Promise<void> {
    // He has said that he goes.
    if (kind === 'leave') return;
    await new Promise<void>((resolve, reject) => {
      const giveUp = (): void => reject(notHeardOf(this.#calls.groupId));
      const timer = this.#router.environment.timers.after(patienceMs, giveUp);
      signal.addEventListener('abort', giveUp, { once: true });
      void isThere()
        .then(resolve, reject)
        .finally(() => {
          timer.cancel();
          signal.removeEventListener('abort', giveUp);
        });
    });
  }

  #say(heartbeat: Heartbeat, signal: AbortSignal): Promise<v1.ConsumerGroupHeartbeatResponse> {
    const request = heartbeatRequest(this.#options, heartbeat);
    const { patienceMs } = heartbeat;
    return this.#calls.call((client, options) => client.consumerGroupHeartbeat(request, options), {
      timeoutMs: patienceMs,
      attemptTimeoutMs: patienceMs,
      signal,
    });
  }

  // --- what comes and goes ---

  #revoke(partitions: readonly GroupTopicPartition[], graceMs: number): void {
    const { known, unheardOf } = this.#arrivals.revoked(partitions);
    if (unheardOf.length > 0) this.released(unheardOf);
    if (known.length > 0) this.#listener.onRevoked(known, graceMs);
  }

  #fail(error: BarnabasError): void {
    this.#silence();
    this.#step(() => this.#member.leave(this.#now()));
    this.#listener.onFatal(error);
  }

  /** The listener hears nothing more. */
  #silence(): void {
    this.#isSilent = true;
    this.#arrivals.stop();
  }

  #withTopicId({ topic, partition }: TopicPartition): GroupTopicPartition {
    return { topic, partition, topicId: this.#router.view.topic(topic)?.topicId ?? '' };
  }

  #logLeaving(error: BarnabasError | undefined): void {
    if (error === undefined) return;
    this.#router.environment.logger.warn('a group could not be told that a member has left', {
      group: this.#calls.groupId,
      error: error.message,
      action: 'nothing: its partitions go to others when its session is over',
    });
  }

  #now(): number {
    return this.#router.environment.clock.monotonic();
  }
}

function notHeardOf(groupId: string): BarnabasError {
  return new BarnabasError('REQUEST_TIMED_OUT', `nothing is heard of a member of group ${groupId}`, { groupId });
}
