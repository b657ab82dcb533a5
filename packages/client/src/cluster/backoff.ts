/** How long to wait before trying again: exponential, capped, with jitter (KIP-580). */
import type { Random, Timers } from '@barnabas/common';

export interface BackoffPolicy {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Spread around the nominal pause, so that clients that failed together do not come back together. */
const JITTER = 0.2;

/** The pause after `failures` failures in a row, from 1. */
export function backoffMs({ baseMs, maxMs }: BackoffPolicy, failures: number, random: Random): number {
  const nominal = Math.min(maxMs, baseMs * 2 ** Math.min(30, failures - 1));
  return nominal * (1 - JITTER + 2 * JITTER * random.float());
}

/** Resolves after `delayMs`. */
export function sleep(timers: Timers, delayMs: number): Promise<void> {
  return new Promise((resolve) => timers.after(delayMs, resolve));
}
