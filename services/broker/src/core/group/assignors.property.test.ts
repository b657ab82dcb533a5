/** What every assignor owes, and what the uniform one owes beside: balance, few moves, racks. */
import fc from 'fast-check';
import { checkAssignment } from './assignor.js';
import type { Assignor, AssignorInput, AssignorMember, AssignorTopic, TargetAssignment } from './assignor.js';
import { partitionKey, parsePartitionKey } from './partition-key.js';
import { rangeAssignor } from './range-assignor.js';
import { uniformAssignor } from './uniform-assignor.js';

interface Shape {
  readonly partitions: readonly number[];
  /** Of each member: bits of topics; and a rack. */
  readonly members: readonly { readonly topics: number; readonly rack: number }[];
  readonly replicas: number;
}

const RACKS = ['', 'a', 'b', 'c'];

const shapes: fc.Arbitrary<Shape> = fc.record({
  partitions: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 4 }),
  members: fc.array(fc.record({ topics: fc.integer({ min: 0, max: 15 }), rack: fc.integer({ min: 0, max: 3 }) }), {
    minLength: 1,
    maxLength: 9,
  }),
  replicas: fc.integer({ min: 0, max: 3 }),
});

const alike = shapes.map((shape) => ({ ...shape, members: shape.members.map(({ rack }) => ({ rack, topics: 15 })) }));

function topicsOf(shape: Shape): ReadonlyMap<string, AssignorTopic> {
  return new Map(
    shape.partitions.map((partitions, index) => {
      const id = `topic${index}`;
      const racksOf = (partition: number) =>
        new Set(Array.from({ length: shape.replicas }, (_, at) => RACKS[1 + ((partition + at) % 3)] ?? ''));
      return [id, { id, partitions, racksOf }];
    }),
  );
}

function inputOf(shape: Shape, before: TargetAssignment = new Map()): AssignorInput {
  const topics = topicsOf(shape);
  const members = shape.members.map(({ topics: bits, rack }, index): AssignorMember => {
    const id = `member${index}`;
    const topicIds = new Set([...topics.keys()].filter((_, at) => (bits & (1 << at)) !== 0));
    return { id, instanceId: '', rackId: RACKS[rack] ?? '', topicIds, target: before.get(id) ?? new Set() };
  });
  return { members, topics };
}

function loads(assignment: TargetAssignment): number[] {
  return [...assignment.values()].map(({ size }) => size);
}

function spread(assignment: TargetAssignment): number {
  const sizes = loads(assignment);
  return sizes.length === 0 ? 0 : Math.max(...sizes) - Math.min(...sizes);
}

/** Partitions that both assignments have, at other members. */
function moves(before: TargetAssignment, after: TargetAssignment): number {
  const owners = new Map([...before].flatMap(([id, keys]) => [...keys].map((key) => [key, id] as const)));
  let count = 0;
  for (const [id, keys] of after) for (const key of keys) if (owners.has(key) && owners.get(key) !== id) count++;
  return count;
}

const asObject = (assignment: TargetAssignment) =>
  Object.fromEntries([...assignment].map(([id, keys]) => [id, [...keys].sort()]).sort());

describe.each<[string, Assignor]>([
  ['uniform', uniformAssignor],
  ['range', rangeAssignor],
])('the %s assignor', (_name, assignor) => {
  test('gives every partition to one of its subscribers, whatever was before', () => {
    fc.assert(
      fc.property(shapes, shapes, (first, second) => {
        const before = assignor.assign(inputOf(first));
        checkAssignment(inputOf(first), before);
        const input = inputOf(second, before);
        checkAssignment(input, assignor.assign(input));
      }),
      { numRuns: 500 },
    );
  });

  test('says the same whatever the order of members and topics', () => {
    fc.assert(
      fc.property(shapes, shapes, (first, second) => {
        const input = inputOf(second, assignor.assign(inputOf(first)));
        const turned = { members: [...input.members].reverse(), topics: new Map([...input.topics].reverse()) };
        expect(asObject(assignor.assign(turned))).toEqual(asObject(assignor.assign(input)));
      }),
    );
  });

  test('says the same again: what it has assigned is what it wants', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const once = assignor.assign(inputOf(shape));
        expect(asObject(assignor.assign(inputOf(shape, once)))).toEqual(asObject(once));
      }),
      { numRuns: 300 },
    );
  });
});

describe('the uniform assignor', () => {
  test('is balanced within one where all subscribe alike, also from an uneven beginning', () => {
    fc.assert(
      fc.property(alike, alike, (first, second) => {
        const before = rangeAssignor.assign(inputOf(first));
        expect(spread(uniformAssignor.assign(inputOf(second, before)))).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });

  test('leaves nobody who could take over a partition from one with two more, even through others', () => {
    fc.assert(
      fc.property(shapes, shapes, (first, second) => {
        const input = inputOf(second, uniformAssignor.assign(inputOf(first)));
        const assignment = uniformAssignor.assign(input);
        for (const start of input.members) {
          const from = assignment.get(start.id)?.size ?? 0;
          for (const reached of reachable(start.id, input, assignment)) {
            expect((assignment.get(reached)?.size ?? 0) + 2).toBeGreaterThan(from);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('moves only what balance asks for when a member comes', () => {
    fc.assert(
      fc.property(alike, (shape) => {
        const before = uniformAssignor.assign(inputOf({ ...shape, members: shape.members.slice(1) }));
        // The first gets another id than anybody had: "member0" of the smaller group becomes "member1".
        const renamed = new Map([...before].map(([id, keys]) => [`member${Number(id.slice(6)) + 1}`, keys]));
        const after = uniformAssignor.assign(inputOf(shape, renamed));
        const total = loads(after).reduce((sum, size) => sum + size, 0);
        expect(moves(renamed, after)).toBeLessThanOrEqual(Math.ceil(total / shape.members.length));
      }),
      { numRuns: 300 },
    );
  });

  test('moves nothing of those who stay when a member goes', () => {
    fc.assert(
      fc.property(alike, (shape) => {
        fc.pre(shape.members.length > 1);
        const before = uniformAssignor.assign(inputOf(shape));
        const after = uniformAssignor.assign(inputOf({ ...shape, members: shape.members.slice(0, -1) }, before));
        for (const [id, keys] of after) expect([...keys]).toEqual(expect.arrayContaining([...(before.get(id) ?? [])]));
      }),
      { numRuns: 300 },
    );
  });

  test('gives everybody what is in their rack where that is even', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 2 }),
        (perRack, times, replicas) => {
          const members = Array.from({ length: perRack * 3 }, (_, index) => ({ topics: 1, rack: 1 + (index % 3) }));
          const input = inputOf({ partitions: [perRack * 3 * times], members, replicas });
          expect(strangers(input, uniformAssignor.assign(input))).toBe(0);
        },
      ),
    );
  });

  test('looks at racks when it places, and not where everybody would have to move for it', () => {
    const members = [
      { topics: 1, rack: 1 },
      { topics: 1, rack: 2 },
      { topics: 1, rack: 3 },
    ];
    const shape = { partitions: [9], members, replicas: 1 };
    const turned = inputOf({ ...shape, members: [...members].reverse() });
    const before = uniformAssignor.assign(turned);
    expect(strangers(turned, before)).toBe(0);
    // The same three ids in each other's racks now: sticky all the same.
    expect(moves(before, uniformAssignor.assign(inputOf(shape, before)))).toBe(0);
  });
});

describe('the range assignor', () => {
  test('divides topics of one size alike, in ranges', () => {
    const members = Array.from({ length: 3 }, () => ({ topics: 3, rack: 0 }));
    const assignment = rangeAssignor.assign(inputOf({ partitions: [7, 7], members, replicas: 0 }));
    const numbers = (id: string, topic: string) =>
      [...(assignment.get(id) ?? [])]
        .map(parsePartitionKey)
        .filter(({ topicId }) => topicId === topic)
        .map(({ partition }) => partition);
    expect(numbers('member0', 'topic0')).toEqual([0, 1, 2]);
    expect(numbers('member1', 'topic0')).toEqual([3, 4]);
    expect(numbers('member2', 'topic0')).toEqual([5, 6]);
    for (const id of ['member0', 'member1', 'member2']) expect(numbers(id, 'topic1')).toEqual(numbers(id, 'topic0'));
  });
});

/** Members that could end up with a partition more if `start` gave one away. */
function reachable(start: string, { members }: AssignorInput, assignment: TargetAssignment): Set<string> {
  const reached = new Set<string>();
  const open = [start];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const topics = new Set([...(assignment.get(id) ?? [])].map((key) => parsePartitionKey(key).topicId));
    for (const member of members) {
      if (reached.has(member.id) || ![...topics].some((topic) => member.topicIds.has(topic))) continue;
      reached.add(member.id);
      open.push(member.id);
    }
  }
  return reached;
}

/** Partitions at a member in none of their racks. */
function strangers({ members, topics }: AssignorInput, assignment: TargetAssignment): number {
  let count = 0;
  for (const { id, rackId } of members) {
    for (const key of assignment.get(id) ?? []) {
      const { topicId, partition } = parsePartitionKey(key);
      if (topics.get(topicId)?.racksOf(partition).has(rackId) !== true) count++;
    }
  }
  return count;
}

test('an unsound assignment is a fault', () => {
  const input = inputOf({
    partitions: [2],
    members: [
      { topics: 1, rack: 0 },
      { topics: 0, rack: 0 },
    ],
    replicas: 0,
  });
  const [zero, one] = [partitionKey('topic0', 0), partitionKey('topic0', 1)];
  const given = (first: string[], second: string[]) => () =>
    checkAssignment(
      input,
      new Map([
        ['member0', new Set(first)],
        ['member1', new Set(second)],
      ]),
    );
  expect(given([zero, one], [])).not.toThrow();
  expect(given([zero], [])).toThrow('every partition is assigned');
  expect(given([zero, one], [one])).toThrow('assigned once');
  expect(given([zero], [one])).toThrow('what it subscribes to');
  expect(given([zero, one, 'topic0/2'], [])).toThrow('only partitions that exist');
});
