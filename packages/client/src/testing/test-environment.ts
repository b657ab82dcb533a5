/** Surroundings for tests: virtual time that moves when told to, seeded randomness, no logs. */
import { noMetrics, SeededRandom, silentLogger, VirtualTime } from '@barnabas/common';
import type { Environment } from '@barnabas/rpc';

export interface TestEnvironment extends Environment {
  readonly time: VirtualTime;
}

export function testEnvironment(seed = 1): TestEnvironment {
  const time = new VirtualTime();
  return { time, clock: time, timers: time, random: new SeededRandom(seed), logger: silentLogger, metrics: noMetrics };
}

/** Lets everything that is under way in this process run until it waits for time or for nothing. */
export async function settle(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/**
 * Moves virtual time in steps until the promise is settled, and returns what it gave. Fails after
 * `limitMs` of virtual time.
 */
export async function runUntil<T>(
  { time }: TestEnvironment,
  promise: Promise<T>,
  { stepMs = 10, limitMs = 600_000 }: { readonly stepMs?: number; readonly limitMs?: number } = {},
): Promise<T> {
  let isSettled = false;
  const watched = promise.finally(() => {
    isSettled = true;
  });
  watched.catch(() => undefined);
  for (let passed = 0; !isSettled && passed <= limitMs; passed += stepMs) {
    await settle(2);
    if (!isSettled) time.advance(stepMs);
  }
  if (!isSettled) throw new Error(`still waiting after ${limitMs} ms of virtual time`);
  return watched;
}
