import { VirtualTime, silentLogger } from '@barnabas/common';
import type { Rebalance } from '../core/index.js';
import { LeaderBalance } from './leader-balance.js';

let time: VirtualTime;
let steps: (Rebalance | undefined)[];
let asked: number;
let balance: LeaderBalance;

beforeEach(() => {
  time = new VirtualTime();
  steps = [];
  asked = 0;
  balance = new LeaderBalance({
    timers: time,
    logger: silentLogger,
    intervalMs: 100,
    rebalance: async () => {
      asked++;
      return steps.length === 0 ? { moved: 0, isMore: false } : steps.shift();
    },
  });
});

async function advance(ms: number): Promise<void> {
  time.advance(ms);
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

test('looks every interval while it is started', async () => {
  await advance(500);
  expect(asked).toBe(0);
  balance.start();
  await advance(99);
  expect(asked).toBe(0);
  await advance(1);
  expect(asked).toBe(1);
  await advance(100);
  expect(asked).toBe(2);
  balance.stop();
  await advance(500);
  expect(asked).toBe(2);
});

test('takes step after step until nothing is left to move', async () => {
  steps = [
    { moved: 3, isMore: true },
    { moved: 3, isMore: true },
    { moved: 1, isMore: false },
  ];
  balance.start();
  await advance(100);
  expect(asked).toBe(3);
  await advance(100);
  expect(asked).toBe(4);
});

test('ends with the leadership, also in the middle, and begins anew with the next', async () => {
  steps = [undefined];
  balance.start();
  await advance(100);
  await advance(500);
  expect(asked).toBe(1);
  steps = [{ moved: 1, isMore: true }];
  balance.start();
  time.advance(100);
  balance.stop();
  await advance(500);
  expect(asked).toBe(2);
  balance.start();
  await advance(100);
  expect(asked).toBe(3);
});
