import fc from 'fast-check';
import { movedReplicas, planReassignment } from './planner.js';
import type { PartitionReplicas, PlannedBroker } from './planner.js';

const RUNS = { numRuns: 300 };

/** A cluster with racks or none, partitions anywhere on brokers that may be gone, and a replication factor. */
const clusters = fc
  .record({ brokers: fc.integer({ min: 1, max: 8 }), racks: fc.integer({ min: 1, max: 4 }) })
  .chain(({ brokers, racks }) =>
    fc.record({
      brokers: fc
        .array(fc.integer({ min: 0, max: racks - 1 }), { minLength: brokers, maxLength: brokers })
        .map((list) =>
          list.map((rack, index): PlannedBroker => ({ id: index + 1, rack: racks === 1 ? '' : `r${rack}` })),
        ),
      // Ids above the brokers' are of brokers that are to be emptied.
      replicaLists: fc.array(
        fc.uniqueArray(fc.integer({ min: 1, max: brokers + 3 }), { minLength: 1, maxLength: brokers }),
        { minLength: 1, maxLength: 30 },
      ),
      replicationFactor: fc.option(fc.integer({ min: 1, max: brokers }), { nil: undefined }),
    }),
  )
  .map(({ replicaLists, ...rest }) => ({ ...rest, partitions: toPartitions(replicaLists) }));

function toPartitions(lists: readonly (readonly number[])[]): readonly PartitionReplicas[] {
  return lists.map((replicas, index) => ({ topic: `t${index % 3}`, partition: Math.floor(index / 3), replicas }));
}

const loadsOf = (plan: readonly PartitionReplicas[], brokers: readonly PlannedBroker[]) =>
  new Map(brokers.map(({ id }) => [id, plan.filter(({ replicas }) => replicas.includes(id)).length]));

/** The fewest that the fullest rack can do with, by trying levels: written apart from the planner. */
function fullestRack(brokers: readonly PlannedBroker[], wanted: number): number {
  const sizes = new Map<string, number>();
  for (const { rack } of brokers) sizes.set(rack, (sizes.get(rack) ?? 0) + 1);
  const given = new Map([...sizes.keys()].map((rack) => [rack, 0]));
  for (let placed = 0; placed < wanted; placed++) {
    const [rack] = [...given]
      .filter(([name, count]) => count < (sizes.get(name) ?? 0))
      .sort((a, b) => a[1] - b[1])[0] ?? [''];
    given.set(rack, (given.get(rack) ?? 0) + 1);
  }
  return Math.max(...given.values());
}

test('R1: every partition has the replicas wanted, on different brokers that are allowed', () => {
  fc.assert(
    fc.property(clusters, ({ partitions, ...options }) => {
      const allowed = new Set(options.brokers.map(({ id }) => id));
      const plan = planReassignment(partitions, options);
      expect(plan.map(({ topic, partition }) => [topic, partition])).toEqual(
        partitions.map(({ topic, partition }) => [topic, partition]),
      );
      plan.forEach(({ replicas }, index) => {
        expect(new Set(replicas).size).toBe(options.replicationFactor ?? partitions[index]?.replicas.length);
        expect(replicas).toHaveLength(new Set(replicas).size);
        for (const id of replicas) expect(allowed.has(id)).toBe(true);
      });
    }),
    RUNS,
  );
});

test('R2: no rack holds more replicas of a partition than it must', () => {
  fc.assert(
    fc.property(clusters, ({ partitions, ...options }) => {
      const rackOf = new Map(options.brokers.map(({ id, rack }) => [id, rack]));
      for (const { replicas } of planReassignment(partitions, options)) {
        const racks = replicas.map((id) => rackOf.get(id) ?? '');
        const counts = racks.map((rack) => racks.filter((other) => other === rack).length);
        expect(Math.max(...counts)).toBeLessThanOrEqual(fullestRack(options.brokers, replicas.length));
      }
    }),
    RUNS,
  );
});

test('R3 and R4: without racks, brokers differ by one replica at most; no leader could sit better', () => {
  fc.assert(
    fc.property(clusters, ({ partitions, ...options }) => {
      const brokers = options.brokers.map(({ id }) => ({ id, rack: '' }));
      const plan = planReassignment(partitions, { ...options, brokers });
      const loads = [...loadsOf(plan, brokers).values()];
      expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
      const leads = (id: number) => plan.filter(({ replicas }) => replicas[0] === id).length;
      for (const { replicas } of plan) {
        const [leader = 0, ...others] = replicas;
        for (const other of others) expect(leads(leader) - leads(other)).toBeLessThan(2);
      }
    }),
    RUNS,
  );
});

test('R5: planning what has been planned changes nothing', () => {
  fc.assert(
    fc.property(clusters, ({ partitions, ...options }) => {
      const plan = planReassignment(partitions, options);
      expect(planReassignment(plan, options)).toEqual(plan);
    }),
    RUNS,
  );
});

test('no more moves than are needed: of what must leave all, of the rest what a broker has above its share', () => {
  fc.assert(
    fc.property(clusters, ({ partitions, brokers }) => {
      const flat = brokers.map(({ id }) => ({ id, rack: '' }));
      const mustLeave = ({ replicas }: PartitionReplicas) => replicas.filter((id) => id > flat.length).length;
      const needed = partitions.reduce((sum, one) => sum + mustLeave(one), 0);
      expect(movedReplicas(partitions, planReassignment(partitions, { brokers: flat }))).toBeGreaterThanOrEqual(needed);

      const settled = partitions.filter((one) => mustLeave(one) === 0);
      const loads = [...loadsOf(settled, flat).values()];
      const share = Math.floor(loads.reduce((sum, load) => sum + load, 0) / flat.length);
      const surplus = loads.reduce((sum, load) => sum + Math.max(0, load - share), 0);
      expect(movedReplicas(settled, planReassignment(settled, { brokers: flat }))).toBeLessThanOrEqual(surplus);
    }),
    RUNS,
  );
});

test('a broker more gets its share, and nothing moves between the others', () => {
  const brokers = [1, 2, 3].map((id) => ({ id, rack: '' }));
  const before = toPartitions(Array.from({ length: 12 }, (_, index) => [1 + (index % 2), 2 - (index % 2)]));
  const plan = planReassignment(before, { brokers });
  expect(movedReplicas(before, plan)).toBe(8);
  expect([...loadsOf(plan, brokers).values()]).toEqual([8, 8, 8]);
  expect(plan.filter(({ replicas }) => replicas[0] === 3)).toHaveLength(4);
});

test('a higher replication factor adds replicas on the racks that have none, and moves none', () => {
  const brokers = [1, 2, 3, 4].map((id) => ({ id, rack: id < 3 ? 'a' : 'b' }));
  const before = toPartitions([[1], [2], [3], [4]]);
  const plan = planReassignment(before, { brokers, replicationFactor: 2 });
  expect(movedReplicas(before, plan)).toBe(4);
  plan.forEach(({ replicas }, index) => {
    expect(replicas[0]).toBe(before[index]?.replicas[0]);
    expect(replicas.filter((id) => id < 3)).toHaveLength(1);
  });
});
