/**
 * Kafka's replication quotas (KIP-73): how many bytes a second may go to, or come from, replicas that
 * are catching up, for the partitions that their topics name. A rate in a token bucket of one second;
 * what is taken may overdraw it by one message.
 *
 * Protocol: docs/protocols/replication.md, section 10.
 */
import type { Clock, Timer, Timers } from '@barnabas/common';

/** What is throttled, and how much. */
export interface ThrottleRules {
  /** Bytes a second; Infinity: not at all. */
  rate(): number;
  /** Whether the topic names this partition's replica on that broker. */
  names(topic: string, partition: number, brokerId: number): boolean;
}

export class TokenBucket {
  #tokens: number;
  #filledAt: number;

  constructor(
    private readonly rate: () => number,
    private readonly clock: Pick<Clock, 'monotonic'>,
  ) {
    this.#tokens = Infinity;
    this.#filledAt = clock.monotonic();
  }

  /** What may be taken now; 0 or less: wait. */
  get tokens(): number {
    this.#fill();
    return this.#tokens;
  }

  take(bytes: number): void {
    this.#fill();
    this.#tokens -= bytes;
  }

  /** Milliseconds until something may be taken again. */
  get waitMs(): number {
    const rate = this.rate();
    if (this.tokens > 0 || rate === Infinity) return 0;
    return Math.ceil(((1 - this.#tokens) / rate) * 1000);
  }

  #fill(): void {
    const now = this.clock.monotonic();
    const rate = this.rate();
    const earned = rate === Infinity ? Infinity : ((now - this.#filledAt) / 1000) * rate;
    this.#filledAt = now;
    this.#tokens = Math.min(rate, this.#tokens + earned);
  }
}

/** A partition as the throttle needs to know it. */
export interface ThrottledPartition {
  readonly topic: string;
  readonly partition: number;
  readonly isr: readonly number[];
}

/** Told when there is room again. */
export interface Throttled {
  throttleOpened(): void;
}

/** What a leader sends, over all its followers. */
export class LeaderThrottle {
  readonly #bucket: TokenBucket;
  readonly #waiting = new Set<Throttled>();
  #timer: Timer | undefined;

  constructor(
    private readonly rules: ThrottleRules,
    clock: Pick<Clock, 'monotonic'>,
    private readonly timers: Timers,
  ) {
    this.#bucket = new TokenBucket(() => rules.rate(), clock);
  }

  /** Whether this partition may be sent to that follower now; else `waiting` is called once it may. */
  admits(partition: ThrottledPartition, followerId: number, waiting: Throttled): boolean {
    if (!this.#concerns(partition, followerId) || this.#bucket.tokens > 0) return true;
    this.#waiting.add(waiting);
    this.#timer ??= this.timers.after(this.#bucket.waitMs, () => {
      this.#timer = undefined;
      const opened = [...this.#waiting];
      this.#waiting.clear();
      for (const one of opened) one.throttleOpened();
    });
    return false;
  }

  sent(partition: ThrottledPartition, followerId: number, bytes: number): void {
    if (this.#concerns(partition, followerId)) this.#bucket.take(bytes);
  }

  forget(waiting: Throttled): void {
    this.#waiting.delete(waiting);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#waiting.clear();
  }

  /** A replica in sync is never throttled: it would fall out. */
  #concerns({ topic, partition, isr }: ThrottledPartition, followerId: number): boolean {
    if (this.rules.rate() === Infinity || isr.includes(followerId)) return false;
    return this.rules.names(topic, partition, followerId);
  }
}
