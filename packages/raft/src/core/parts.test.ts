/** The small parts of the core, each by its own rules. */
import { Progress } from './progress.js';
import { ReadBarriers } from './read-barriers.js';
import { Voters } from './voters.js';

describe('Voters', () => {
  it.each([
    [[1], 1],
    [[1, 2], 2],
    [[1, 2, 3], 2],
    [[1, 2, 3, 4], 3],
    [[1, 2, 3, 4, 5], 3],
  ])('of %j need %d', (ids, majority) => {
    expect(new Voters(ids).majority).toBe(majority);
  });

  it('reach the value that a majority has reached', () => {
    const values: Record<number, number> = { 1: 9, 2: 3, 3: 5, 4: 1, 5: 7 };
    expect(new Voters([1, 2, 3, 4, 5]).reachedByMajority((id) => values[id] ?? 0)).toBe(5);
    expect(new Voters([1, 2, 3, 4]).reachedByMajority((id) => values[id] ?? 0)).toBe(3);
  });

  it('decide an election when a majority has voted, or can no longer', () => {
    const voters = new Voters([1, 2, 3, 4]);
    const outcome = (votes: Record<number, boolean>) =>
      voters.outcome(new Map(Object.entries(votes).map(([id, vote]) => [Number(id), vote])));
    expect(outcome({ 1: true, 2: true })).toBe('open');
    expect(outcome({ 1: true, 2: true, 3: true })).toBe('won');
    expect(outcome({ 1: true, 2: false })).toBe('open');
    expect(outcome({ 1: true, 2: false, 3: false })).toBe('lost');
    expect(outcome({ 8: true, 9: true, 10: true })).toBe('open');
  });

  it('are distinct, and there is one at least', () => {
    expect(() => new Voters([])).toThrow('voters');
    expect(() => new Voters([1, 1])).toThrow('voters');
  });
});

describe('Progress', () => {
  const replicating = (matchIndex: number): Progress => {
    const progress = new Progress(2, matchIndex + 1);
    progress.accepted(matchIndex);
    return progress;
  };

  it('probes until an append is accepted', () => {
    const progress = new Progress(2, 10);
    expect(progress.refused(9, 4)).toBe(true);
    expect([progress.nextIndex, progress.state.kind]).toEqual([5, 'probe']);
    progress.accepted(4);
    expect([progress.matchIndex, progress.nextIndex, progress.state.kind]).toEqual([4, 5, 'replicate']);
  });

  it('ignores refusals that are out of date', () => {
    const probing = new Progress(2, 10);
    expect(probing.refused(5, 0)).toBe(false);
    const progress = replicating(9);
    expect(progress.refused(9, 3)).toBe(false);
    expect([progress.nextIndex, progress.state.kind]).toEqual([10, 'replicate']);
  });

  it('goes back to probing from what it knows to agree', () => {
    const progress = replicating(9);
    progress.nextIndex = 20;
    expect(progress.refused(15, 9)).toBe(true);
    expect([progress.nextIndex, progress.state.kind]).toEqual([10, 'probe']);
  });

  it('frees its window as appends are answered, and takes late answers for nothing', () => {
    const progress = replicating(9);
    if (progress.state.kind !== 'replicate') throw new Error('replicates');
    progress.state.inflight.push(12, 15, 18);
    progress.nextIndex = 19;
    progress.accepted(15);
    expect(progress.state.inflight).toEqual([18]);
    progress.accepted(12);
    expect([progress.matchIndex, progress.nextIndex]).toEqual([15, 19]);
  });

  it('waits for a snapshot until it is installed, or ended', () => {
    const progress = replicating(3);
    progress.awaitSnapshot({ index: 20, term: 2 });
    progress.accepted(3);
    expect(progress.state.kind).toBe('snapshot');
    expect(progress.refused(3, 1)).toBe(false);
    progress.snapshotEnded();
    expect([progress.state, progress.nextIndex]).toEqual([{ kind: 'probe', sent: true }, 4]);
    progress.awaitSnapshot({ index: 20, term: 2 });
    progress.accepted(20);
    expect([progress.state.kind, progress.nextIndex]).toEqual(['replicate', 21]);
    progress.snapshotEnded();
    expect(progress.state.kind).toBe('replicate');
  });
});

describe('ReadBarriers', () => {
  it('prove in rounds what was asked for before the round began', () => {
    const barriers = new ReadBarriers();
    expect(barriers.begin(5)).toBe(false);
    barriers.add(1);
    barriers.add(2);
    expect(barriers.begin(5)).toBe(true);
    barriers.add(3);
    expect(barriers.confirm(0)).toEqual([]);
    expect(barriers.begin(8)).toBe(true);
    barriers.add(4);
    expect(barriers.confirm(1)).toEqual([
      { id: 1, index: 5 },
      { id: 2, index: 5 },
    ]);
    expect(barriers.abandon()).toEqual([3, 4]);
    expect(barriers.confirm(9)).toEqual([]);
  });
});
