import fc from 'fast-check';
import { NO_LEADER } from '@barnabas/metadata';
import { changePartition, isReassigning, targetOf } from './partition-change.js';
import type { PartitionChange, PartitionEvent, PartitionState } from './partition-change.js';

interface World {
  /** Brokers that run; `leaving` of them shut down. */
  readonly up: readonly number[];
  readonly leaving?: readonly number[];
  readonly minIsr?: number;
  readonly unclean?: boolean;
}

function state(change: Partial<PartitionState>): PartitionState {
  const replicas = change.replicas ?? [1, 2, 3];
  const none = { addingReplicas: [], removingReplicas: [], eligibleLeaderReplicas: [], lastKnownElr: [] };
  return { replicas, isr: replicas, leader: replicas[0] ?? NO_LEADER, offlineReplicas: [], ...none, ...change };
}

function after(partition: PartitionState, event: PartitionEvent, world: World): PartitionChange {
  const { up, leaving = [], minIsr = 1, unclean = false } = world;
  return changePartition(partition, event, {
    standings: { isUp: (id) => up.includes(id), serves: (id) => up.includes(id) && !leaving.includes(id) },
    rules: { minIsr: (replicas) => Math.min(minIsr, replicas), isUncleanAllowed: () => unclean },
    remembersLeaders: true,
  });
}

/** In one line: leader, ISR, and what else there is. */
function show({ next, newLeaderEpoch }: PartitionChange): string {
  const parts = [`${next.leader}${newLeaderEpoch ? '*' : ''} isr ${next.isr.join()}`];
  if (next.eligibleLeaderReplicas.length > 0) parts.push(`elr ${next.eligibleLeaderReplicas.join()}`);
  if (next.lastKnownElr.length > 0) parts.push(`last ${next.lastKnownElr.join()}`);
  if (next.offlineReplicas.length > 0) parts.push(`offline ${next.offlineReplicas.join()}`);
  return parts.join(', ');
}

describe('brokers go and come', () => {
  test('the first replica in sync leads when the leader is gone', () => {
    expect(show(after(state({ replicas: [3, 1, 2] }), {}, { up: [1, 2] }))).toBe('1* isr 1,2');
    expect(show(after(state({}), {}, { up: [1, 3] }))).toBe('1 isr 1,3');
  });

  test('who leaves an ISR that is then too small is eligible, and leads if nobody in sync is left', () => {
    const world = { minIsr: 2, up: [1, 2, 3] };
    const first = after(state({}), {}, { ...world, up: [1, 2] });
    expect(show(first)).toBe('1 isr 1,2');
    const second = after(first.next, {}, { ...world, up: [1] });
    expect(show(second)).toBe('1 isr 1, elr 2');
    const third = after(second.next, {}, { ...world, up: [] });
    expect(show(third)).toBe('-1* isr 1, elr 2, last 1');
    // 3 was gone before the ISR became too small: it may miss what was committed since.
    expect(show(after(third.next, {}, { ...world, up: [3] }))).toBe('-1 isr 1, elr 2, last 1');
    const fourth = after(third.next, {}, { ...world, up: [2, 3] });
    expect(show(fourth)).toBe('2* isr 2, elr 1');
    // It was at the end before the watermark stood still: it may lead again too.
    expect(show(after(fourth.next, {}, { ...world, up: [1, 3] }))).toBe('1* isr 1, elr 2');
    const isr = [2, 1];
    expect(show(after(fourth.next, { isr }, world))).toBe('2 isr 2,1');
  });

  test('all at once: those in sync stay in it by name, and each may lead when it is back', () => {
    const gone = after(state({}), {}, { minIsr: 2, up: [] });
    expect(show(gone)).toBe('-1* isr 1,2,3, last 1');
    expect(show(after(gone.next, {}, { minIsr: 2, up: [3] }))).toBe('3* isr 3, elr 1,2');
  });

  test('after min.insync.replicas was lowered nobody is eligible on what it was before', () => {
    const partition = state({ isr: [1], eligibleLeaderReplicas: [2] });
    expect(show(after(partition, {}, { minIsr: 1, up: [2, 3] }))).toBe('-1* isr 1, last 1');
    expect(show(after(partition, {}, { minIsr: 1, up: [1, 2, 3] }))).toBe('1 isr 1');
  });

  test('an unclean election only where it is allowed, the last leader first', () => {
    const partition = state({ isr: [3], leader: -1, lastKnownElr: [2] });
    expect(show(after(partition, {}, { up: [1, 2] }))).toBe('-1 isr 3, last 2');
    expect(show(after(partition, {}, { up: [1, 2], unclean: true }))).toBe('2* isr 2');
    expect(show(after(partition, { election: 'unclean' }, { up: [1] }))).toBe('1* isr 1');
    expect(show(after(partition, {}, { up: [1, 2, 3], unclean: true }))).toBe('3* isr 3');
  });
});

describe('controlled shutdown', () => {
  const up = [1, 2, 3];

  test('leaves the ISR where enough others remain, and stays in it where it is needed', () => {
    expect(show(after(state({}), {}, { up, leaving: [1], minIsr: 2 }))).toBe('2* isr 2,3');
    const two = state({ isr: [1, 2] });
    expect(show(after(two, {}, { up, leaving: [1], minIsr: 2 }))).toBe('2* isr 1,2');
    expect(show(after(two, {}, { up, leaving: [2], minIsr: 2 }))).toBe('1 isr 1,2');
    expect(show(after(two, {}, { up: [2, 3], minIsr: 2 }))).toBe('2* isr 2, elr 1');
  });

  test('leads on while nobody in sync can take over, and hands over when somebody can', () => {
    const alone = state({ isr: [1] });
    expect(show(after(alone, {}, { up, leaving: [1] }))).toBe('1 isr 1');
    expect(show(after(alone, { isr: [1, 2] }, { up, leaving: [1] }))).toBe('2* isr 2');
    expect(show(after(alone, { isr: [1, 2] }, { up, leaving: [1], minIsr: 2 }))).toBe('2* isr 1,2');
  });

  test('a follower that shuts down gets no leadership', () => {
    const partition = state({ isr: [1, 2] });
    expect(show(after(partition, {}, { up: [2], leaving: [2] }))).toBe('-1* isr 2, last 1');
  });
});

describe('replicas that cannot be used or trusted', () => {
  const up = [1, 2, 3];

  test('leave ISR and ELR, and their leader begins a new epoch', () => {
    expect(show(after(state({}), { offline: 2 }, { up, minIsr: 3 }))).toBe('1* isr 1,3, offline 2');
    expect(show(after(state({}), { offline: 1 }, { up }))).toBe('2* isr 2,3, offline 1');
    const shrunk = state({ isr: [1], eligibleLeaderReplicas: [2, 3] });
    expect(show(after(shrunk, { offline: 3 }, { up, minIsr: 2 }))).toBe('1* isr 1, elr 2, offline 3');
    expect(show(after(shrunk, { offline: 1 }, { up, minIsr: 2 }))).toBe('2* isr 2, elr 3, offline 1');
    expect(show(after(shrunk, { offline: 1 }, { up: [1], minIsr: 2 }))).toBe('-1* isr 2,3, last 1, offline 1');
  });

  test('the last one in sync stays in the ISR, and leads only once its broker has started anew', () => {
    const reported = after(state({ isr: [1] }), { offline: 1 }, { up });
    expect(show(reported)).toBe('-1* isr 1, last 1, offline 1');
    expect(show(after(reported.next, {}, { up }))).toBe('-1 isr 1, last 1, offline 1');
    // Not even by an unclean election: it would only report itself again.
    expect(show(after(reported.next, { election: 'unclean' }, { up: [1] }))).toBe('-1 isr 1, last 1, offline 1');
    expect(show(after(reported.next, { election: 'unclean' }, { up }))).toBe('2* isr 2, offline 1');
    const restarted = after(reported.next, { restarted: 1 }, { up: [2, 3] });
    expect(show(restarted)).toBe('-1 isr 1, last 1');
    expect(show(after(restarted.next, {}, { up }))).toBe('1* isr 1');
  });

  test('a replica that its leader has in sync again can be used', () => {
    const partition = state({ isr: [1], offlineReplicas: [2, 3] });
    expect(show(after(partition, { isr: [1, 2] }, { up }))).toBe('1 isr 1,2, offline 3');
  });

  test('a broker that may have lost records is eligible no more, but stays where nobody else is left', () => {
    const shrunk = state({ isr: [1], leader: -1, eligibleLeaderReplicas: [2] });
    const world = { up: [3], minIsr: 2 };
    expect(show(after(shrunk, { mayMissRecords: 2 }, world))).toBe('-1 isr 1');
    expect(show(after(shrunk, { mayMissRecords: 1 }, world))).toBe('-1 isr 2');
    expect(show(after(state({ isr: [1], leader: -1 }), { mayMissRecords: 1 }, world))).toBe('-1 isr 1');
    expect(show(after(state({}), { mayMissRecords: 1 }, { up: [2, 3] }))).toBe('2* isr 2,3');
  });
});

describe('reassignment', () => {
  const moving = state({
    replicas: [3, 4, 1, 2],
    isr: [1, 2],
    leader: 1,
    addingReplicas: [3, 4],
    removingReplicas: [1, 2],
  });
  const up = [1, 2, 3, 4];

  test('ends when all of its target are in sync', () => {
    const half = after(moving, { isr: [1, 2, 3] }, { up });
    expect([half.next.replicas, show(half)]).toEqual([[3, 4, 1, 2], '1 isr 1,2,3']);
    const done = after(half.next, { isr: [1, 2, 3, 4] }, { up });
    expect([done.next.replicas, isReassigning(done.next), show(done)]).toEqual([[3, 4], false, '3* isr 3,4']);
  });

  test('begins a new leader epoch where replicas go, also under the same leader', () => {
    const partition = state({ replicas: [1, 2, 3], removingReplicas: [3], isr: [1, 3] });
    const waiting = after(partition, {}, { up });
    expect(show(waiting)).toBe('1 isr 1,3');
    const done = after(waiting.next, { isr: [1, 2, 3] }, { up });
    expect([done.next.replicas, show(done)]).toEqual([[1, 2], '1* isr 1,2']);
  });

  test('waits for a broker that dies in the middle', () => {
    const half = after(moving, { isr: [1, 2, 3] }, { up });
    const dead = after(half.next, {}, { up: [1, 2, 4] });
    expect([isReassigning(dead.next), show(dead)]).toEqual([true, '1 isr 1,2']);
  });

  test('is decided at once where nothing has to be copied', () => {
    const assignment = { replicas: [1, 2, 3], addingReplicas: [], removingReplicas: [1] };
    const done = after(state({}), { assignment }, { up });
    expect([done.next.replicas, show(done)]).toEqual([[2, 3], '2* isr 2,3']);
  });
});

test('the preferred leader leads on request, if it is in sync', () => {
  const partition = state({ leader: 2 });
  const election = 'preferred';
  expect(show(after(partition, { election }, { up: [1, 2, 3] }))).toBe('1* isr 1,2,3');
  expect(show(after({ ...partition, isr: [2, 3] }, { election }, { up: [1, 2, 3] }))).toBe('2 isr 2,3');
  expect(show(after(partition, { election }, { up: [1, 2, 3], leaving: [1] }))).toBe('2 isr 2,3');
});

const ids = [1, 2, 3, 4, 5];

/** Any state that the invariants allow, with what may happen to it. */
const anything = fc
  .record({
    replicas: fc.shuffledSubarray(ids, { minLength: 1 }),
    removing: fc.subarray(ids),
    adding: fc.subarray(ids),
    inSync: fc.subarray(ids),
    eligible: fc.subarray(ids),
    offline: fc.subarray(ids),
    leader: fc.constantFrom(NO_LEADER, ...ids),
    lastKnown: fc.constantFrom(...ids),
    up: fc.subarray(ids),
    leaving: fc.subarray(ids),
    minIsr: fc.integer({ min: 1, max: 4 }),
    unclean: fc.boolean(),
    kind: fc.constantFrom('nothing', 'isr', 'miss', 'offline', 'restart', 'preferred', 'unclean'),
    who: fc.constantFrom(...ids),
    asked: fc.subarray(ids),
  })
  .map((raw) => {
    const within = (list: readonly number[]) => list.filter((id) => raw.replicas.includes(id));
    const removing = within(raw.removing).slice(0, raw.replicas.length - 1);
    const isr = within(raw.inSync).length > 0 ? within(raw.inSync) : raw.replicas.slice(0, 1);
    const minIsr = Math.min(raw.minIsr, raw.replicas.length);
    const leader = isr.includes(raw.leader) ? raw.leader : NO_LEADER;
    const partition: PartitionState = {
      replicas: raw.replicas,
      removingReplicas: removing,
      addingReplicas: within(raw.adding).filter((id) => !removing.includes(id)),
      isr,
      leader,
      eligibleLeaderReplicas: isr.length < minIsr ? within(raw.eligible).filter((id) => !isr.includes(id)) : [],
      lastKnownElr: leader === NO_LEADER ? within([raw.lastKnown]) : [],
      offlineReplicas: within(raw.offline).filter((id) => id !== leader && (isr.length === 1 || !isr.includes(id))),
    };
    // What isr-control.ts lets through: all members run, and new ones do not shut down.
    const mayStay = (id: number) => raw.up.includes(id) && (isr.includes(id) || !raw.leaving.includes(id));
    const asked = raw.up.includes(leader) ? [...new Set([leader, ...within(raw.asked).filter(mayStay)])] : undefined;
    // A registration begins fenced.
    const up = raw.kind === 'miss' ? raw.up.filter((id) => id !== raw.who) : raw.up;
    return { partition, event: eventOf(raw.kind, raw.who, asked), world: { ...raw, up } };
  });

function eventOf(kind: string, who: number, isr: readonly number[] | undefined): PartitionEvent {
  switch (kind) {
    case 'isr':
      return isr === undefined ? {} : { isr };
    case 'miss':
      return { mayMissRecords: who };
    case 'offline':
      return { offline: who };
    case 'restart':
      return { restarted: who };
    case 'preferred':
    case 'unclean':
      return { election: kind };
    default:
      return {};
  }
}

test('for every state, every event and every set of brokers the invariants hold', () => {
  fc.assert(
    fc.property(anything, ({ partition, event, world }) => {
      const change = after(partition, event, world);
      const { next, newLeaderEpoch } = change;
      const serves = (id: number) => world.up.includes(id) && !world.leaving.includes(id);
      const minIsr = Math.min(world.minIsr, next.replicas.length);
      const usable = (id: number) => serves(id) && !next.offlineReplicas.includes(id);
      // S1
      expect(next.isr.length).toBeGreaterThan(0);
      expect(next.isr.every((id) => next.replicas.includes(id))).toBe(true);
      expect(new Set(next.isr).size).toBe(next.isr.length);
      if (next.leader !== NO_LEADER) expect(next.isr).toContain(next.leader);
      // S2
      const elr = next.eligibleLeaderReplicas;
      expect(elr.every((id) => next.replicas.includes(id) && !next.isr.includes(id))).toBe(true);
      if (next.isr.length >= minIsr) expect(elr).toEqual([]);
      // S3
      if ([...next.isr, ...elr].some(usable)) expect(next.leader).not.toBe(NO_LEADER);
      // S4
      if (isReassigning(next)) expect(next.replicas).toEqual(partition.replicas);
      else expect(next.replicas).toEqual(targetOf(partition));
      // A leader runs, and its replica can be used.
      if (next.leader !== NO_LEADER) {
        expect(world.up).toContain(next.leader);
        expect(next.offlineReplicas).not.toContain(next.leader);
        if (next.leader !== partition.leader) expect(serves(next.leader)).toBe(true);
        expect(next.lastKnownElr).toEqual([]);
      }
      // Nobody becomes eligible or in sync who was not, but by the leader's word or by an unclean election.
      const clean = next.isr.every((id) => partition.isr.includes(id) || partition.eligibleLeaderReplicas.includes(id));
      if (!clean && event.isr === undefined) {
        expect([next.isr, elr]).toEqual([[next.leader], []]);
        expect(world.unclean || event.election === 'unclean').toBe(true);
      }
      const known = new Set([...partition.isr, ...partition.eligibleLeaderReplicas]);
      expect(elr.every((id) => known.has(id) && id !== event.mayMissRecords && id !== event.offline)).toBe(true);
      // What has been decided is stable: the same brokers make no further change of it.
      const { offline: _, mayMissRecords: __, restarted: ___, isr: ____, ...rest } = event;
      expect(after(next, rest, world)).toEqual({ next, newLeaderEpoch: false });
      // The leader epoch grows with each change of leader.
      if (next.leader !== partition.leader) expect(newLeaderEpoch).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
