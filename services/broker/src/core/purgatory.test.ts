import fc from 'fast-check';
import { Purgatory } from './purgatory.js';

it('expires each entry at its deadline or shortly after, once, in order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2000), { maxLength: 200 }), fc.array(fc.nat(300)), (deadlines, steps) => {
      const purgatory = new Purgatory<{ deadline: number }>();
      const entries = deadlines.map((deadline) => ({ deadline }));
      for (const entry of entries) purgatory.add(entry);
      const removed = entries.filter((_, index) => index % 3 === 0);
      for (const entry of removed) expect(purgatory.remove(entry)).toBe(true);
      const waiting = new Set(entries.filter((entry) => !removed.includes(entry)));
      let now = 0;
      for (const step of [...steps, 3000]) {
        now += step;
        const due = purgatory.expire(now);
        expect(due.map((entry) => entry.deadline)).toEqual(due.map((entry) => entry.deadline).sort((a, b) => a - b));
        for (const entry of due) {
          expect(entry.deadline).toBeLessThanOrEqual(now);
          expect(waiting.delete(entry)).toBe(true);
        }
        for (const entry of waiting) expect(entry.deadline).toBeGreaterThan(now - 20);
        expect(purgatory.size).toBe(waiting.size);
        expect(purgatory.nextDeadline() === undefined).toBe(waiting.size === 0);
      }
      expect(waiting.size).toBe(0);
    }),
    { numRuns: 100 },
  );
});

it('takes an entry once and forgets a removed one', () => {
  const purgatory = new Purgatory<{ deadline: number }>();
  const entry = { deadline: 10 };
  purgatory.add(entry);
  purgatory.add(entry);
  expect(purgatory.size).toBe(1);
  expect(purgatory.remove(entry)).toBe(true);
  expect(purgatory.remove(entry)).toBe(false);
  expect([purgatory.size, purgatory.nextDeadline()]).toEqual([0, undefined]);
});
