/**
 * When this node last heard from each other one, and which nodes without a vote have announced
 * themselves lately. For status alone: whom a leader sends the log to, the core knows.
 */
import type { Clock } from '@barnabas/common';
import type { Member, ReplicaId } from '../core/index.js';

export class Observers {
  readonly #lastHeard = new Map<string, number>();
  readonly #announced = new Map<string, Member>();

  constructor(
    readonly clock: Clock,
    /** One that is silent for so long is not listed any more. */
    readonly sessionMs: number,
  ) {}

  heard(replica: ReplicaId): void {
    this.#lastHeard.set(keyOf(replica), this.clock.monotonic());
  }

  add(member: Member): void {
    this.#announced.set(keyOf(member), member);
  }

  /** Rounded; -1 if never. */
  lastContactMs(replica: ReplicaId): number {
    const heard = this.#lastHeard.get(keyOf(replica));
    return heard === undefined ? -1 : Math.max(0, Math.round(this.clock.monotonic() - heard));
  }

  get announced(): readonly Member[] {
    for (const [key, member] of this.#announced) {
      if (this.lastContactMs(member) <= this.sessionMs) continue;
      this.#announced.delete(key);
      this.#lastHeard.delete(key);
    }
    return [...this.#announced.values()];
  }
}

const keyOf = ({ id, directoryId }: ReplicaId): string => `${id}/${directoryId}`;
