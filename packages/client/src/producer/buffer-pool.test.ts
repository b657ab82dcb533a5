import { BufferPool } from './buffer-pool.js';

it('hands a buffer that was given back to the next, and keeps no more than it may', () => {
  const pool = new BufferPool(100, 2);
  const [a, b, c] = [pool.take(), pool.take(), pool.take()];
  expect(new Set([a, b, c]).size).toBe(3);
  expect(a.length).toBe(100);
  for (const buffer of [a, b, c]) pool.give(buffer);
  expect([pool.take(), pool.take()]).toEqual([b, a]);
  expect([a, b]).not.toContain(pool.take());
});
