/** The operating system's time and randomness behind the ports of common. */
import { randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Random } from '../random.js';
import type { Clock, Timer, Timers } from '../time.js';

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** setTimeout fires at once for delays above 2^31-1 ms; longer ones are cut to it, so callers re-check their deadline. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export const systemTimers: Timers = {
  after(delayMs: number, callback: () => void): Timer {
    const handle = setTimeout(callback, Math.min(Math.max(0, delayMs), MAX_DELAY_MS));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

export const systemRandom: Random = {
  below: (bound) => randomInt(bound),
  float: () => randomInt(2 ** 32) / 2 ** 32,
};
