/**
 * When members are given up: sessions and rebalance timeouts. The coordinator's own memory and in no
 * record: a new coordinator gives everybody the whole time again.
 *
 * Owns: deadlines. Does not own what expiry means (group-shard.ts).
 *
 * A coordinator that stood still itself (a stopped process, a laptop's lid) finds every deadline passed
 * while the heartbeats may be waiting in its sockets: it forgives half a session before it removes
 * anybody.
 */
import { Purgatory } from '../purgatory.js';
import type { GroupImage, MemberImage } from './group-image.js';

export type TimerKind = 'session' | 'rebalance';

export interface Expired {
  readonly kind: TimerKind;
  readonly groupId: string;
  readonly memberId: string;
}

interface Entry extends Expired {
  readonly deadline: number;
  /** Of the assignment that is to be given up; only of rebalance timers. */
  readonly version: number;
}

/** How long one that was due waits before it is due again, where its member could not be removed. */
const RETRY_MS = 500;

export class MemberTimers {
  readonly #entries = new Map<string, Entry>();
  readonly #purgatory = new Purgatory<Entry>();
  #lastSeen = -Infinity;

  constructor(private readonly sessionTimeoutMs: number) {}

  /** The member was heard from. */
  heard(groupId: string, memberId: string, now: number): void {
    this.#set({ kind: 'session', groupId, memberId, version: 0, deadline: now + this.sessionTimeoutMs });
  }

  /** The records have spoken of a member: it may have come, gone, or have partitions to give up. */
  follow(group: GroupImage | undefined, groupId: string, memberId: string, now: number): void {
    const member = group?.members.get(memberId);
    if (member === undefined) {
      this.#drop(idOf('session', groupId, memberId));
      this.#drop(idOf('rebalance', groupId, memberId));
      return;
    }
    if (!this.#entries.has(idOf('session', groupId, memberId))) this.heard(groupId, memberId, now);
    this.#followRevocation(groupId, member, now);
  }

  /** What is due. It stays, a little later, until its member is gone: an append may be refused. */
  expire(now: number): Expired[] {
    if (now - this.#lastSeen > this.sessionTimeoutMs / 2 && this.#lastSeen !== -Infinity) this.#forgive();
    this.#lastSeen = now;
    const due = this.#purgatory.expire(now);
    for (const entry of due) this.#set({ ...entry, deadline: now + RETRY_MS });
    return due;
  }

  /** When to call expire; undefined when nobody is waited for. */
  get nextDeadline(): number | undefined {
    return this.#purgatory.nextDeadline();
  }

  #followRevocation(groupId: string, member: MemberImage, now: number): void {
    const id = idOf('rebalance', groupId, member.id);
    if (member.state !== 'unrevoked') {
      this.#drop(id);
      return;
    }
    const version = member.assignmentVersion;
    if (this.#entries.get(id)?.version === version) return;
    const deadline = now + member.rebalanceTimeoutMs;
    this.#set({ kind: 'rebalance', groupId, memberId: member.id, version, deadline });
  }

  #forgive(): void {
    for (const entry of [...this.#entries.values()]) {
      this.#set({ ...entry, deadline: entry.deadline + this.sessionTimeoutMs / 2 });
    }
  }

  #set(entry: Entry): void {
    const id = idOf(entry.kind, entry.groupId, entry.memberId);
    this.#drop(id);
    this.#entries.set(id, entry);
    this.#purgatory.add(entry);
  }

  #drop(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#purgatory.remove(entry);
  }
}

function idOf(kind: TimerKind, groupId: string, memberId: string): string {
  return `${kind}\n${groupId}\n${memberId}`;
}
