/** The small parts of the core, each by its own rules. */
import * as fc from 'fast-check';
import { changed, decodeConfiguration, encodeConfiguration } from './configuration.js';
import { Progress } from './progress.js';
import { ReadBarriers } from './read-barriers.js';
import { memberNamed, votersNamed } from './test-kit/test-node.js';
import { Voters } from './voters.js';

const votersOf = (...ids: number[]): Voters => new Voters(ids.map((id) => memberNamed(id)));

describe('Voters', () => {
  it.each([
    [[1], 1],
    [[1, 2], 2],
    [[1, 2, 3], 2],
    [[1, 2, 3, 4], 3],
    [[1, 2, 3, 4, 5], 3],
  ])('of %j need %d', (ids, majority) => {
    expect(votersOf(...ids).majority).toBe(majority);
  });

  it('reach the value that a majority has reached', () => {
    const values: Record<number, number> = { 1: 9, 2: 3, 3: 5, 4: 1, 5: 7 };
    expect(votersOf(1, 2, 3, 4, 5).reachedByMajority((id) => values[id] ?? 0)).toBe(5);
    expect(votersOf(1, 2, 3, 4).reachedByMajority((id) => values[id] ?? 0)).toBe(3);
  });

  it('decide an election when a majority has voted, or can no longer', () => {
    const voters = votersOf(1, 2, 3, 4);
    const outcome = (votes: Record<number, boolean>) =>
      voters.outcome(new Map(Object.entries(votes).map(([id, vote]) => [Number(id), vote])));
    expect(outcome({ 1: true, 2: true })).toBe('open');
    expect(outcome({ 1: true, 2: true, 3: true })).toBe('won');
    expect(outcome({ 1: true, 2: false })).toBe('open');
    expect(outcome({ 1: true, 2: false, 3: false })).toBe('lost');
    expect(outcome({ 8: true, 9: true, 10: true })).toBe('open');
  });

  it('are who they are by their disk as well as by their id', () => {
    expect(votersOf(1, 2).has(memberNamed(2))).toBe(true);
    expect(votersOf(1, 2).has(memberNamed(2, 2))).toBe(false);
    expect(votersOf(1, 2).others(memberNamed(2, 2))).toHaveLength(2);
  });
});

describe('Progress', () => {
  const WINDOW = { messages: 3, bytes: 100 };
  const ELECTION_TICKS = 10;
  const log = (lastIndex: number, firstIndex = 1) => ({ lastIndex, firstIndex });
  const accept = (progress: Progress, matchIndex: number, held = log(20)): void =>
    progress.accepted(matchIndex, held, ELECTION_TICKS);
  const replicating = (matchIndex: number): Progress => {
    const progress = new Progress(memberNamed(2), matchIndex + 1);
    accept(progress, matchIndex);
    return progress;
  };

  it('probes until an append is accepted, one at a time', () => {
    const progress = new Progress(memberNamed(2), 10);
    expect(progress.isPaused(WINDOW)).toBe(false);
    progress.sent(12, 50);
    expect([progress.isPaused(WINDOW), progress.nextIndex]).toEqual([true, 10]);
    progress.heard();
    expect(progress.isPaused(WINDOW)).toBe(false);
    expect(progress.refused(9, 4)).toBe(true);
    expect([progress.nextIndex, progress.state.kind]).toEqual([5, 'probe']);
    accept(progress, 4);
    expect([progress.matchIndex, progress.nextIndex, progress.state.kind]).toEqual([4, 5, 'replicate']);
  });

  it('ignores refusals that are out of date', () => {
    const probing = new Progress(memberNamed(2), 10);
    expect(probing.refused(5, 0)).toBe(false);
    const progress = replicating(9);
    expect(progress.refused(9, 3)).toBe(false);
    expect([progress.nextIndex, progress.state.kind]).toEqual([10, 'replicate']);
  });

  it('goes back to probing from what it knows to agree', () => {
    const progress = replicating(9);
    progress.sent(19, 10);
    expect(progress.refused(15, 9)).toBe(true);
    expect([progress.nextIndex, progress.state.kind]).toEqual([10, 'probe']);
  });

  it('frees its window as appends are answered, and takes late answers for nothing', () => {
    const progress = replicating(9);
    for (const lastIndex of [12, 15, 18]) progress.sent(lastIndex, 10);
    expect([progress.nextIndex, progress.isPaused(WINDOW)]).toEqual([19, true]);
    accept(progress, 15);
    expect(progress.state).toEqual({ kind: 'replicate', inflight: [{ lastIndex: 18, bytes: 10 }] });
    expect(progress.isPaused(WINDOW)).toBe(false);
    accept(progress, 12);
    expect([progress.matchIndex, progress.nextIndex]).toEqual([15, 19]);
  });

  it('holds back by bytes as well as by messages, and lets one that is too large go alone', () => {
    const progress = replicating(9);
    progress.sent(10, 60);
    expect(progress.isPaused(WINDOW)).toBe(false);
    progress.sent(11, 500);
    expect(progress.isPaused(WINDOW)).toBe(true);
    accept(progress, 10);
    expect(progress.isPaused(WINDOW)).toBe(true);
    accept(progress, 11);
    expect(progress.isPaused(WINDOW)).toBe(false);
    // What was in flight is forgotten with the state in which it was sent.
    progress.sent(12, 500);
    expect(progress.refused(12, 11)).toBe(true);
    accept(progress, 11);
    expect(progress.isPaused(WINDOW)).toBe(false);
  });

  it('waits for a snapshot until it is installed, or ended', () => {
    const progress = replicating(3);
    progress.awaitSnapshot({ index: 20, term: 2 });
    accept(progress, 3, log(25, 21));
    expect([progress.state.kind, progress.isPaused(WINDOW)]).toEqual(['snapshot', true]);
    expect(progress.refused(3, 1)).toBe(false);
    progress.snapshotEnded();
    expect([progress.state, progress.nextIndex]).toEqual([{ kind: 'probe', sent: true }, 4]);
    progress.awaitSnapshot({ index: 20, term: 2 });
    accept(progress, 20, log(25, 21));
    expect([progress.state.kind, progress.nextIndex]).toEqual(['replicate', 21]);
    progress.snapshotEnded();
    expect(progress.state.kind).toBe('replicate');
  });

  it('goes on from the log when it has got there without the snapshot', () => {
    const progress = replicating(3);
    progress.awaitSnapshot({ index: 20, term: 2 });
    accept(progress, 14, log(25, 15));
    expect([progress.state.kind, progress.nextIndex]).toEqual(['replicate', 15]);
  });

  it('has caught up when a round took no longer than an election time-out (dissertation, 4.2.1)', () => {
    const progress = new Progress(memberNamed(4), 101);
    const round = (ticks: number, matchIndex: number, lastIndex: number): boolean => {
      for (let tick = 0; tick < ticks; tick++) progress.tick();
      accept(progress, matchIndex, log(lastIndex));
      return progress.isCaughtUp;
    };
    expect(round(50, 60, 150)).toBe(false);
    // The first round ends, too late; the second goes up to 180.
    expect(round(50, 100, 180)).toBe(false);
    expect(round(5, 150, 190)).toBe(false);
    expect(round(5, 180, 200)).toBe(true);
    progress.refused(190, 180);
    expect(progress.isCaughtUp).toBe(false);
    // A quorum in which nothing happens: the first round was late, the next has nothing to send.
    expect(round(50, 200, 200)).toBe(true);
  });
});

describe('ReadBarriers', () => {
  it('prove in rounds what was asked for before the round began', () => {
    const barriers = new ReadBarriers();
    expect(barriers.isDue).toBe(false);
    barriers.add(1);
    barriers.add(2);
    expect(barriers.isDue).toBe(true);
    barriers.begin(5, 0);
    barriers.add(3);
    expect(barriers.confirm(0)).toEqual([]);
    barriers.begin(8, 1);
    barriers.add(4);
    expect(barriers.confirm(1)).toEqual([
      { id: 1, index: 5 },
      { id: 2, index: 5 },
    ]);
    expect(barriers.abandon()).toEqual([3, 4]);
    expect(barriers.confirm(9)).toEqual([]);
  });

  it('remember when rounds began, from the last confirmed one on', () => {
    const barriers = new ReadBarriers();
    for (const at of [10, 11, 12]) barriers.begin(1, at);
    expect([0, 1, 2, 3, 9].map((round) => barriers.begunAt(round))).toEqual([undefined, 10, 11, 12, 12]);
    barriers.confirm(2);
    expect([1, 2, 3].map((round) => barriers.begunAt(round))).toEqual([undefined, 11, 12]);
  });
});

describe('configurations', () => {
  const three = votersNamed(1, 2, 3);
  const withLearner = { ...three, learners: [memberNamed(4)] };

  it.each([
    ['a new learner', { kind: 'addLearner', member: memberNamed(4) } as const, three, withLearner],
    ['a promotion', { kind: 'promote', id: 4 } as const, withLearner, votersNamed(1, 2, 3, 4)],
    ['the removal of a voter', { kind: 'remove', id: 2 } as const, three, votersNamed(1, 3)],
    ['the removal of a learner', { kind: 'remove', id: 4 } as const, withLearner, three],
    ['a node that is a member', { kind: 'addLearner', member: memberNamed(3) } as const, three, 'exists'],
    ['its successor on a new disk', { kind: 'addLearner', member: memberNamed(3, 2) } as const, three, 'exists'],
    ['a promotion of a voter', { kind: 'promote', id: 3 } as const, three, 'exists'],
    ['a promotion of nobody', { kind: 'promote', id: 9 } as const, three, 'unknown'],
    ['the removal of nobody', { kind: 'remove', id: 9 } as const, three, 'unknown'],
    ['the removal of the last voter', { kind: 'remove', id: 1 } as const, votersNamed(1), 'lastVoter'],
  ])('lead by one change to the next, or to none: %s', (_, change, from, to) => {
    expect(changed(from, change)).toEqual(to);
  });

  it('change an endpoint of the same disk alone', () => {
    const moved = { ...memberNamed(4), endpoint: 'elsewhere:1' };
    expect(changed(withLearner, { kind: 'update', member: moved })).toEqual({ ...three, learners: [moved] });
    expect(changed(withLearner, { kind: 'update', member: memberNamed(4, 2) })).toBe('unknown');
  });

  it('stand in bytes as they are, and nothing else does', () => {
    const member = fc.record({
      id: fc.nat({ max: 2 ** 31 - 1 }),
      directoryId: fc.stringMatching(/^[A-Za-z0-9_-]{0,22}$/),
      endpoint: fc.stringMatching(/^[a-z.0-9]{1,30}:[0-9]{1,5}$/),
    });
    const configuration = fc.record({ voters: fc.array(member), learners: fc.array(member) });
    fc.assert(
      fc.property(configuration, fc.nat(), (one, cut) => {
        const bytes = encodeConfiguration(one);
        expect(decodeConfiguration(bytes)).toEqual(one);
        expect(decodeConfiguration(bytes.subarray(0, cut % bytes.length))).toBeUndefined();
        expect(decodeConfiguration(Uint8Array.from([...bytes, 0]))).toBeUndefined();
      }),
    );
  });
});
