/**
 * A member of a group (KIP-848): what it says to the coordinator and when, and what becomes of it. Does no
 * I/O: takes answers, failures, time and what the application has released; gives effects. Which partitions
 * are its own, and what it reports of them, is in member-partitions.ts.
 *
 *   joining ──answer──▶ member ──leave──▶ leaving ──▶ over
 *      ▲                  │ fenced, unknown: everything is lost, a new incarnation
 *      └──────────────────┘          any phase ──a refusal that is final──▶ over
 *
 * Two kinds of heartbeats: one that says something (joins, tells of a released partition or another
 * subscription) is answered at once and waited for; one that only waits is held by the coordinator until
 * there is news, and is broken off when there is something to say. So news travel at once in both
 * directions, and a member that has much to say still hears every answer.
 *
 * Invariants:
 *   M1  at most one heartbeat is on its way; the answer to any other changes nothing
 *   M2  what the application was to release and did not is reported as released when the grace is over
 *   M3  incarnations of one member id only grow
 * Protocol: docs/protocols/groups.md, sections 4 and 6.
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { TopicPartition } from '../../records.js';
import type { GroupSubscription, GroupTopicPartition, MemberIdentity } from '../group-types.js';
import { MemberPartitions } from './member-partitions.js';
import { graceOf, leavingEpoch, RECOVERY, recoveryFrom } from './member-rules.js';
import type { Answer, Heartbeat, MemberEffect, MemberSettings } from './member-rules.js';

type Phase = 'idle' | 'joining' | 'member' | 'leaving' | 'over';

interface Outstanding {
  readonly id: number;
  readonly kind: Heartbeat['kind'];
  readonly sentAtMs: number;
  /** Everything that was to be said when it was sent. */
  readonly says: number;
}

/** Before the coordinator has told its own. */
const DEFAULT_INTERVAL_MS = 5_000;
const DEFAULT_SESSION_MS = 45_000;

export class Member {
  readonly #settings: MemberSettings;
  readonly #partitions: MemberPartitions;
  #phase: Phase = 'idle';
  #memberId: string;
  #epoch = 0;
  #incarnation = 1;
  #subscription: GroupSubscription;
  #intervalMs = DEFAULT_INTERVAL_MS;
  #sessionTimeoutMs = DEFAULT_SESSION_MS;
  #outstanding: Outstanding | undefined;
  #ids = 0;
  /** Counts what there was to say, and how much of it has been heard; and when the parts of it came up. */
  #news = 0;
  #heard = 0;
  #newsOfSubscription = 0;
  #newsOfRebalance = 0;
  #newsOfAll = 0;
  #nextBeatMs = 0;
  #notBeforeMs = 0;
  #fencedInARow = 0;
  #unreleasedSinceMs: number | undefined;
  /** A coordinator may know of this member. */
  #mayBeKnown = false;
  /** `joined` has been given for this incarnation. */
  #isAnnounced = false;
  #effects: MemberEffect[] = [];

  constructor(settings: MemberSettings) {
    this.#settings = settings;
    this.#subscription = settings.subscription;
    const { resume } = settings;
    this.#memberId = resume?.memberId ?? settings.newMemberId();
    this.#partitions = new MemberPartitions(resume?.owned);
    if (resume === undefined) return;
    this.#epoch = resume.memberEpoch;
    this.#incarnation = resume.incarnation;
  }

  get identity(): MemberIdentity {
    return {
      memberId: this.#memberId,
      memberEpoch: this.#epoch,
      incarnation: this.#incarnation,
      instanceId: this.#settings.instanceId,
      sessionTimeoutMs: this.#sessionTimeoutMs,
    };
  }

  /** It has joined, and neither left nor been fenced since. */
  get isMember(): boolean {
    return this.#phase === 'member';
  }

  get isOver(): boolean {
    return this.#phase === 'over';
  }

  /** Whether the application owns the partition and has not been asked to give it up. */
  owns(partition: GroupTopicPartition): boolean {
    return this.#partitions.owns(partition);
  }

  /** The id of a topic of which something is owned or being given up. */
  topicIdOf(partition: TopicPartition): string | undefined {
    return this.#partitions.topicIdOf(partition);
  }

  /** What is to be done; each effect is given once, in order. */
  takeEffects(): MemberEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When `tick` has something to do. */
  get nextDeadlineMs(): number {
    if (this.#phase !== 'joining' && this.#phase !== 'member') return Number.POSITIVE_INFINITY;
    const beatMs = Math.max(this.#notBeforeMs, this.#hasNews ? 0 : this.#nextBeatMs);
    return Math.min(this.#partitions.nextGraceMs, this.#outstanding === undefined ? beatMs : Number.POSITIVE_INFINITY);
  }

  // --- what the application wants ---

  start(nowMs: number): void {
    if (this.#phase !== 'idle') return;
    const isResumed = this.#settings.resume !== undefined;
    this.#phase = isResumed ? 'member' : 'joining';
    this.#mayBeKnown = isResumed;
    this.#newsOfAll = ++this.#news;
    this.#pump(nowMs);
  }

  subscribe(subscription: GroupSubscription, nowMs: number): void {
    this.#subscription = subscription;
    this.#newsOfSubscription = ++this.#news;
    this.#pump(nowMs);
  }

  /** The application works on these no more. Others than those that are being given up are passed over. */
  released(partitions: readonly TopicPartition[], nowMs: number): void {
    if (this.#partitions.release(partitions)) this.#onReleased();
    this.#pump(nowMs);
  }

  /** Says so even where nothing has changed: the coordinator looks at the assignment again. */
  enforceRebalance(nowMs: number): void {
    this.#newsOfRebalance = ++this.#news;
    this.#pump(nowMs);
  }

  /** Something was refused that a heartbeat explains: asks now. */
  ask(nowMs: number): void {
    this.#news++;
    this.#pump(nowMs);
  }

  /** Gives everything up. `left` follows, at once where no coordinator knows of this member. */
  leave(nowMs: number): void {
    if (this.#phase === 'leaving' || this.#phase === 'over') return;
    this.#breakOff();
    this.#partitions.forget();
    if (!this.#mayBeKnown) {
      this.#phase = 'over';
      this.#effects.push({ kind: 'left', error: undefined });
      return;
    }
    this.#phase = 'leaving';
    this.#send('leave', nowMs);
  }

  /** Says nothing more: the coordinator finds out by the session timeout, or somebody resumes. */
  abandon(): void {
    this.#breakOff();
    this.#partitions.forget();
    this.#phase = 'over';
  }

  // --- what comes ---

  answered(id: number, answer: Answer, nowMs: number): void {
    const request = this.#take(id);
    if (request === undefined) return;
    if (request.kind === 'leave') {
      this.#left(undefined);
      return;
    }
    this.#heard = Math.max(this.#heard, request.says);
    this.#fencedInARow = 0;
    this.#unreleasedSinceMs = undefined;
    this.#intervalMs = answer.heartbeatIntervalMs > 0 ? answer.heartbeatIntervalMs : this.#intervalMs;
    this.#sessionTimeoutMs = answer.sessionTimeoutMs > 0 ? answer.sessionTimeoutMs : this.#sessionTimeoutMs;
    const isNews = answer.memberEpoch !== this.#epoch || answer.assignment !== undefined;
    const hasMoved = answer.memberEpoch !== this.#epoch;
    this.#epoch = answer.memberEpoch;
    this.#phase = 'member';
    if (!this.#isAnnounced) this.#effects.push({ kind: 'joined' });
    else if (hasMoved) this.#effects.push({ kind: 'moved' });
    this.#isAnnounced = true;
    if (answer.assignment !== undefined) this.#apply(answer.assignment, nowMs);
    // A coordinator that holds a heartbeat answers it when the interval is over; one that does not is not
    // asked more often for that.
    const isHeldInVain = request.kind === 'wait' && !isNews;
    this.#nextBeatMs = isHeldInVain ? Math.max(nowMs, request.sentAtMs + this.#intervalMs) : nowMs;
    this.#pump(nowMs);
  }

  failed(id: number, error: BarnabasError, nowMs: number): void {
    const request = this.#take(id);
    if (request === undefined) return;
    if (request.kind === 'leave') {
      this.#left(recoveryFrom(error) === 'rejoin' ? undefined : error);
      return;
    }
    switch (recoveryFrom(error)) {
      case 'rejoin':
        this.#fence(error, nowMs);
        break;
      case 'wait-for-instance':
        this.#waitForInstance(error, nowMs);
        break;
      case 'retry':
        this.#notBeforeMs = nowMs + RECOVERY.retryMs;
        break;
      case 'end':
        this.#end(error);
        break;
    }
    this.#pump(nowMs);
  }

  tick(nowMs: number): void {
    if (this.#partitions.releaseOverdue(nowMs)) this.#onReleased();
    this.#pump(nowMs);
  }

  // --- partitions ---

  #apply(assignment: NonNullable<Answer['assignment']>, nowMs: number): void {
    const graceMs = graceOf(this.#settings.rebalanceTimeoutMs);
    const revoked = this.#partitions.apply(assignment, nowMs + graceMs);
    if (revoked.length > 0) this.#effects.push({ kind: 'revoked', partitions: revoked, graceMs });
    this.#assign();
  }

  /** Gives the application what it is told to own and stands in nobody's way. */
  #assign(): void {
    const partitions = this.#partitions.give();
    if (partitions.length > 0) this.#effects.push({ kind: 'assigned', partitions });
  }

  #onReleased(): void {
    this.#news++;
    this.#assign();
  }

  // --- ends and beginnings ---

  /**
   * Everything is another's already, or will be: begins anew. A member whose id somebody else may have
   * taken up (a client that resumed at another node) does not take it up again. Otherwise:
   *   1. Node G1 speaks for M in incarnation 1. M's client resumes at G2, which goes on with 2.
   *   2. G1 has not noticed, is fenced, and joins in M's name with incarnation 2.
   *   3. The coordinator takes that for G2's, whose answer was lost: G1 and G2 own the same partitions.
   */
  #fence(error: BarnabasError, nowMs: number): void {
    const { isResumable, instanceId, newMemberId } = this.#settings;
    const isStillThere = error.errorName === 'FENCED_MEMBER_EPOCH';
    const lost = this.#partitions.forget();
    this.#effects.push({ kind: 'lost', partitions: lost, error });
    if (isResumable && isStillThere && instanceId !== '') {
      this.#end(error);
      return;
    }
    if (isResumable) {
      // Where nobody has taken it up, the place is free at once; where somebody has, this is refused.
      if (isStillThere) this.#effects.push({ kind: 'farewell', heartbeat: this.#heartbeat('leave') });
      this.#memberId = newMemberId();
      this.#incarnation = 1;
    } else {
      this.#incarnation++;
    }
    this.#epoch = 0;
    this.#isAnnounced = false;
    this.#phase = 'joining';
    this.#newsOfAll = ++this.#news;
    if (this.#fencedInARow++ > 0) this.#notBeforeMs = nowMs + RECOVERY.retryMs;
  }

  /** Whoever had the instance id before may be dead: its place is free when its session is over. */
  #waitForInstance(error: BarnabasError, nowMs: number): void {
    this.#unreleasedSinceMs ??= nowMs;
    const isOver = nowMs - this.#unreleasedSinceMs >= this.#settings.rebalanceTimeoutMs;
    if (this.#phase !== 'joining' || isOver) {
      this.#end(error);
      return;
    }
    // The place is another's: whoever leaves while it waits has nothing to leave.
    this.#mayBeKnown = false;
    if (this.#unreleasedSinceMs === nowMs) this.#effects.push({ kind: 'waiting', error });
    this.#notBeforeMs = nowMs + RECOVERY.instanceMs;
  }

  #end(error: BarnabasError): void {
    // Another has taken over the place: there is nothing to leave.
    const isElsewhere = error.errorName === 'FENCED_INSTANCE_ID' || error.errorName === 'FENCED_MEMBER_EPOCH';
    if (this.#mayBeKnown && this.#phase === 'member' && !isElsewhere) {
      this.#effects.push({ kind: 'farewell', heartbeat: this.#heartbeat('leave') });
    }
    this.#partitions.forget();
    this.#phase = 'over';
    this.#effects.push({ kind: 'fatal', error });
  }

  #left(error: BarnabasError | undefined): void {
    this.#phase = 'over';
    this.#effects.push({ kind: 'left', error });
  }

  // --- heartbeats ---

  get #hasNews(): boolean {
    return this.#news > this.#heard;
  }

  /** Sends what is due, breaking off a heartbeat that only waits. */
  #pump(nowMs: number): void {
    if (this.#phase !== 'joining' && this.#phase !== 'member') return;
    if (this.#outstanding !== undefined) {
      if (!this.#hasNews || this.#outstanding.kind !== 'wait') return;
      this.#breakOff();
    }
    if (nowMs < this.#notBeforeMs) return;
    if (this.#phase === 'joining') this.#send('join', nowMs);
    else if (this.#hasNews) this.#send('say', nowMs);
    else if (nowMs >= this.#nextBeatMs) this.#send('wait', nowMs);
  }

  #send(kind: Heartbeat['kind'], nowMs: number): void {
    const id = ++this.#ids;
    this.#outstanding = { id, kind, sentAtMs: nowMs, says: this.#news };
    this.#mayBeKnown = true;
    this.#effects.push({ kind: 'send', id, heartbeat: this.#heartbeat(kind) });
  }

  #heartbeat(kind: Heartbeat['kind']): Heartbeat {
    const { instanceId } = this.#settings;
    const isLeaving = kind === 'leave';
    const describes = kind === 'join' || (kind === 'say' && this.#newsOfAll > this.#heard);
    const subscribes = describes || (kind === 'say' && this.#newsOfSubscription > this.#heard);
    return {
      kind,
      memberId: this.#memberId,
      memberEpoch: isLeaving ? leavingEpoch(instanceId) : this.#epoch,
      incarnation: this.#incarnation,
      describes,
      subscription: subscribes ? this.#subscription : undefined,
      owned: isLeaving || kind === 'join' ? undefined : this.#partitions.report(),
      enforceRebalance: !isLeaving && this.#newsOfRebalance > this.#heard,
      maxWaitMs: kind === 'wait' ? this.#intervalMs : 0,
      patienceMs: this.#patienceMs(kind),
    };
  }

  /** Three attempts within a session, so that one that is lost does not cost it. */
  #patienceMs(kind: Heartbeat['kind']): number {
    return (kind === 'wait' ? this.#intervalMs : 0) + Math.max(1_000, Math.floor(this.#sessionTimeoutMs / 4));
  }

  #breakOff(): void {
    if (this.#outstanding !== undefined) this.#effects.push({ kind: 'cancel', id: this.#outstanding.id });
    this.#outstanding = undefined;
  }

  #take(id: number): Outstanding | undefined {
    const outstanding = this.#outstanding;
    if (outstanding?.id !== id) return undefined;
    this.#outstanding = undefined;
    return outstanding;
  }
}
