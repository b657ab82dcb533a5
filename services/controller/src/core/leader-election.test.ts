import fc from 'fast-check';
import { elect } from './leader-election.js';

const brokers = [1, 2, 3, 4];
const given = fc.record({
  replicas: fc.shuffledSubarray(brokers, { minLength: 1 }),
  inSync: fc.subarray(brokers, { minLength: 1 }),
  serving: fc.subarray(brokers),
  unclean: fc.boolean(),
  leader: fc.constantFrom(-1, ...brokers),
});

test('for every state of a partition and its brokers, the rule holds', () => {
  fc.assert(
    fc.property(given, ({ replicas, inSync, serving, unclean, leader: wish }) => {
      const members = inSync.filter((id) => replicas.includes(id));
      const isr = members.length > 0 ? members : replicas.slice(0, 1);
      const leader = isr.includes(wish) ? wish : -1;
      const isServing = (id: number) => serving.includes(id);
      const next = elect({ replicas, isr, leader }, isServing, () => unclean);

      const alive = isr.filter(isServing);
      const clean = next.isr.every((id) => isr.includes(id));
      // Whoever leads serves and is in sync.
      if (next.leader !== -1) expect(isServing(next.leader) && next.isr.includes(next.leader)).toBe(true);
      // A leader that serves stays.
      if (alive.includes(leader)) expect(next.leader).toBe(leader);
      if (alive.length > 0)
        expect(next).toMatchObject({ isr: alive, leader: alive.includes(leader) ? leader : expect.anything() });
      if (alive.length > 0) expect(next.leader).not.toBe(-1);
      // With nobody left the last in sync stay named, so that only they may lead cleanly.
      if (alive.length === 0 && next.leader === -1) expect(next.isr).toEqual(isr);
      // An unclean leader only where allowed, only when nobody in sync is left.
      if (!clean) expect([unclean, alive.length, next.isr]).toEqual([true, 0, [next.leader]]);
      if (alive.length === 0 && unclean && replicas.some(isServing)) expect(next.leader).not.toBe(-1);
    }),
  );
});

test('the preferred leader is the first choice', () => {
  const partition = { replicas: [3, 1, 2], isr: [1, 2, 3], leader: -1 };
  expect(
    elect(
      partition,
      () => true,
      () => false,
    ),
  ).toEqual({ leader: 3, isr: [1, 2, 3] });
  expect(
    elect(
      partition,
      (id) => id !== 3,
      () => false,
    ),
  ).toEqual({ leader: 1, isr: [1, 2] });
});
