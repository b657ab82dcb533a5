/**
 * Heartbeats that wait for something to tell their members (max_wait_ms). A member has one at most.
 *
 * Owns: who waits, and for how long. Does not own: what there is to tell, and when (shard-runner.ts).
 * A waiting heartbeat costs an entry and a timer; nothing looks through them.
 */
import type { Timer, Timers } from '@barnabas/common';
import type { HeartbeatRequest, HeartbeatResponse } from '../core/group/index.js';
import { callerGone } from './outcome.js';
import type { Outcome } from './outcome.js';

export interface HeldHeartbeat {
  readonly request: HeartbeatRequest;
  /** What there is to say when the time is over. */
  readonly outcome: Outcome<HeartbeatResponse>;
}

interface Entry extends HeldHeartbeat {
  readonly settle: (outcome: Outcome<HeartbeatResponse>) => void;
  readonly timer: Timer;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

export class HeldHeartbeats {
  readonly #entries = new Map<string, Map<string, Entry>>();
  #size = 0;

  constructor(private readonly timers: Timers) {}

  get size(): number {
    return this.#size;
  }

  find(groupId: string, memberId: string): HeldHeartbeat | undefined {
    return this.#entries.get(groupId)?.get(memberId);
  }

  /** Resolves with the outcome at hand when the time is over, as failed when its caller is gone, or as `settle` says. */
  hold(held: HeldHeartbeat, waitMs: number, signal: AbortSignal | undefined): Promise<Outcome<HeartbeatResponse>> {
    if (signal?.aborted === true) return Promise.resolve({ kind: 'failed', error: callerGone() });
    const { groupId, memberId } = held.request;
    return new Promise((resolve) => {
      const timer = this.timers.after(waitMs, () => this.settle(groupId, memberId, held.outcome));
      const onAbort = (): void => this.settle(groupId, memberId, { kind: 'failed', error: callerGone() });
      signal?.addEventListener('abort', onAbort);
      const group = this.#entries.get(groupId) ?? new Map<string, Entry>();
      this.#entries.set(groupId, group.set(memberId, { ...held, settle: resolve, timer, signal, onAbort }));
      this.#size += 1;
    });
  }

  settle(groupId: string, memberId: string, outcome: Outcome<HeartbeatResponse>): void {
    const group = this.#entries.get(groupId);
    const entry = group?.get(memberId);
    if (group === undefined || entry === undefined) return;
    group.delete(memberId);
    if (group.size === 0) this.#entries.delete(groupId);
    this.#size -= 1;
    entry.timer.cancel();
    entry.signal?.removeEventListener('abort', entry.onAbort);
    entry.settle(outcome);
  }

  settleAll(outcome: Outcome<HeartbeatResponse>): void {
    for (const [groupId, group] of [...this.#entries]) {
      for (const memberId of [...group.keys()]) this.settle(groupId, memberId, outcome);
    }
  }
}
