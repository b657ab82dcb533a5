import { SeededRandom } from '@barnabas/common';
import fc from 'fast-check';
import { ReplicaMover, placeReplicas } from './replica-placement.js';
import type { PlacementBroker } from './replica-placement.js';

interface Case {
  readonly brokers: readonly PlacementBroker[];
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly seed: number;
}

/** Racks of the given sizes; rack names are empty where there are none. */
function brokersOf(sizes: readonly number[], racked: boolean, serving = (_id: number) => true): PlacementBroker[] {
  let id = 0;
  return sizes.flatMap((size, rack) =>
    Array.from({ length: size }, () => ({ id: ++id, rack: racked ? `rack-${rack}` : '', serving: serving(id) })),
  );
}

function caseOf(sizes: fc.Arbitrary<number[]>): fc.Arbitrary<Case> {
  return sizes.chain((racks) => {
    const total = racks.reduce((sum, size) => sum + size, 0);
    return fc.record({
      brokers: fc.boolean().map((racked) => brokersOf(racks, racked)),
      partitions: fc.integer({ min: 1, max: 60 }),
      replicationFactor: fc.integer({ min: 1, max: Math.min(total, 5) }),
      seed: fc.integer(),
    });
  });
}

const anyRacks = caseOf(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 }));
const equalRacks = caseOf(
  fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 6 }))
    .map(([size, racks]) => Array(racks).fill(size)),
);

function place({ brokers, partitions, replicationFactor, seed }: Case): number[][] {
  return placeReplicas({ brokers, partitions, replicationFactor, random: new SeededRandom(seed) });
}

function spread(counts: readonly number[]): number {
  return Math.max(...counts) - Math.min(...counts);
}

test('replicas are on different brokers, and on different racks while there are enough (R1)', () => {
  fc.assert(
    fc.property(anyRacks, (given) => {
      const rackOf = new Map(given.brokers.map(({ id, rack }) => [id, rack]));
      const racks = new Set(rackOf.values()).size;
      for (const replicas of place(given)) {
        expect(new Set(replicas).size).toBe(given.replicationFactor);
        const used = new Set(replicas.map((id) => rackOf.get(id))).size;
        expect(used).toBe(Math.min(racks, given.replicationFactor));
      }
    }),
  );
});

test('with equally large racks brokers differ by at most one replica (R2)', () => {
  fc.assert(
    fc.property(equalRacks, (given) => {
      const lists = place(given);
      expect(lists).toHaveLength(given.partitions);
      const holds = (id: number) => lists.filter((replicas) => replicas.includes(id)).length;
      expect(spread(given.brokers.map(({ id }) => holds(id)))).toBeLessThanOrEqual(1);
    }),
  );
});

test('with one replica each, leaders are as even as replicas', () => {
  fc.assert(
    fc.property(equalRacks, (given) => {
      const lists = place({ ...given, replicationFactor: 1 });
      const leads = (id: number) => lists.filter(([leader]) => leader === id).length;
      expect(spread(given.brokers.map(({ id }) => leads(id)))).toBeLessThanOrEqual(1);
    }),
  );
});

test('the preferred leader serves, and fenced brokers are used only when the others are too few (R3)', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.nat(5),
      fc.integer({ min: 1, max: 6 }),
      (serving, fenced, wanted) => {
        const brokers = brokersOf([serving + fenced], false, (id) => id <= serving);
        const replicationFactor = Math.min(wanted, brokers.length);
        for (const replicas of place({ brokers, partitions: 20, replicationFactor, seed: 1 })) {
          expect(replicas[0]).toBeLessThanOrEqual(serving);
          const expected = Math.max(0, replicationFactor - serving);
          expect(replicas.filter((id) => id > serving)).toHaveLength(expected);
        }
      },
    ),
  );
});

test('added partitions even out what the topic has', () => {
  const brokers = brokersOf([4], false);
  const existing = [[1], [1], [2]];
  const added = placeReplicas({ brokers, partitions: 5, replicationFactor: 1, random: new SeededRandom(1), existing });
  const counts = brokers.map(({ id }) => [...existing, ...added].filter(([leader]) => leader === id).length);
  expect(counts).toEqual([2, 2, 2, 2]);
});

test('when a broker dies, many share what it led', () => {
  const brokers = brokersOf([10], false);
  const lists = placeReplicas({ brokers, partitions: 200, replicationFactor: 2, random: new SeededRandom(5) });
  const heirs = new Set(lists.filter(([leader]) => leader === 1).map(([, next]) => next));
  expect(heirs.size).toBeGreaterThan(4);
});

test('the same seed gives the same placement', () => {
  fc.assert(fc.property(anyRacks, (given) => expect(place(given)).toEqual(place(given))));
});

/** Racks of unequal size, some brokers of which do not serve. */
const partlyServing = fc
  .record({
    sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 6 }),
    away: fc.array(fc.nat(23), { maxLength: 8 }),
    replicationFactor: fc.integer({ min: 2, max: 5 }),
    partitions: fc.integer({ min: 1, max: 40 }),
    seed: fc.integer(),
  })
  .map(({ sizes, away, ...rest }) => ({ brokers: brokersOf(sizes, true, (id) => !away.includes(id)), ...rest }))
  .filter(({ brokers, replicationFactor }) => brokers.filter(({ serving }) => serving).length >= replicationFactor);

test('never two replicas on a rack while there are enough racks that serve, for 2 to 5 replicas', () => {
  fc.assert(
    fc.property(partlyServing, (given) => {
      const serving = new Map(given.brokers.filter((broker) => broker.serving).map(({ id, rack }) => [id, rack]));
      const racks = new Set(serving.values()).size;
      for (const replicas of place(given)) {
        expect(replicas.every((id) => serving.has(id))).toBe(true);
        expect(new Set(replicas.map((id) => serving.get(id))).size).toBe(Math.min(racks, given.replicationFactor));
      }
    }),
  );
});

test('replicas that must leave keep to the racks as new ones do, and even out what the topic has', () => {
  fc.assert(
    fc.property(partlyServing, fc.nat(), (given, which) => {
      const lists = place(given);
      const leaving = given.brokers[which % given.brokers.length]?.id ?? 1;
      const brokers = given.brokers.filter(({ id }) => id !== leaving);
      const serving = brokers.filter((broker) => broker.serving);
      const rackOf = new Map(given.brokers.map(({ id, rack }) => [id, rack]));
      const racks = new Set(serving.map(({ rack }) => rack));
      const mover = new ReplicaMover({ brokers, existing: lists, random: new SeededRandom(given.seed) });
      for (const replicas of lists.filter((list) => list.includes(leaving))) {
        const moved = mover.move(replicas, [leaving]);
        if (serving.length < given.replicationFactor) {
          expect(moved).toBeUndefined();
          continue;
        }
        if (moved === undefined) throw new Error('there are enough brokers');
        expect(moved).toHaveLength(replicas.length);
        expect(new Set(moved).size).toBe(moved.length);
        // Everybody else stays, in its place.
        expect(moved.filter((id, index) => id !== replicas[index])).toHaveLength(1);
        expect(moved).not.toContain(leaving);
        // Only one replica moved: where the others were on racks of their own, so is the new one, if one is left.
        const others = new Set(replicas.filter((id) => id !== leaving).map((id) => rackOf.get(id)));
        const spare = [...racks].some((rack) => !others.has(rack));
        const used = new Set(moved.map((id) => rackOf.get(id))).size;
        expect(used).toBe(others.size + (spare ? 1 : 0));
      }
    }),
  );
});
