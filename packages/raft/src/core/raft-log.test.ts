import { encodeConfiguration, NO_MEMBERS } from './configuration.js';
import { RaftLog } from './raft-log.js';
import { votersNamed } from './test-kit/test-node.js';
import type { Entry } from './types.js';

const START = { index: 0, term: 0 };
const entry = (index: number, term: number, bytes = 0): Entry => ({
  index,
  term,
  kind: 'command',
  command: new Uint8Array(bytes),
});
/** Entries of the given terms, from index 1 on. */
const entries = (...terms: number[]): Entry[] => terms.map((term, at) => entry(at + 1, term));
const indexes = (list: readonly Entry[]): number[] => list.map(({ index }) => index);

describe('RaftLog', () => {
  it('recovers what is on disk as stable, and the snapshot as committed and applied', () => {
    const log = new RaftLog({ index: 5, term: 2 }, [entry(6, 2), entry(7, 3)]);
    expect([log.firstIndex, log.lastIndex, log.lastTerm]).toEqual([6, 7, 3]);
    expect([log.stableIndex, log.commitIndex, log.takenIndex]).toEqual([7, 5, 5]);
    expect([4, 5, 6, 7, 8].map((index) => log.termAt(index))).toEqual([undefined, 2, 2, 3, undefined]);
  });

  it('refuses a gap and a term that falls', () => {
    const log = new RaftLog(START, entries(1, 2));
    expect(() => log.append(entry(4, 2))).toThrow('L3');
    expect(() => log.append(entry(3, 1))).toThrow('L3');
  });

  it.each([
    ['a later last term, however short', 1, 3, true],
    ['the same last term and as long', 3, 2, true],
    ['the same last term and longer', 4, 2, true],
    ['the same last term and shorter', 2, 2, false],
    ['an earlier last term, however long', 9, 1, false],
  ])('compares candidates as the paper says (5.4.1): %s', (_, lastIndex, lastTerm, upToDate) => {
    expect(new RaftLog(START, entries(1, 1, 2)).isUpToDate(lastIndex, lastTerm)).toBe(upToDate);
  });

  it('finds where two logs can still agree', () => {
    const log = new RaftLog(START, entries(1, 1, 4, 4, 5, 5));
    expect(log.lastIndexWithTermUpTo(6, 4)).toEqual({ index: 4, term: 4 });
    expect(log.lastIndexWithTermUpTo(5, 3)).toEqual({ index: 2, term: 1 });
    expect(log.lastIndexWithTermUpTo(9, 9)).toEqual({ index: 6, term: 5 });
    expect(log.lastIndexWithTermUpTo(2, 0)).toEqual({ index: 0, term: 0 });
  });

  it('keeps what agrees and replaces the log from the first entry that differs', () => {
    const log = new RaftLog(START, entries(1, 1, 2, 2));
    expect(log.accept(1, [entry(2, 1), entry(3, 2)])).toBe(3);
    expect([log.lastIndex, log.stableIndex]).toEqual([4, 4]);
    expect(log.accept(2, [entry(3, 3)])).toBe(3);
    expect([log.lastIndex, log.lastTerm, log.stableIndex]).toEqual([3, 3, 2]);
    expect(indexes(log.takeUnstable())).toEqual([3]);
  });

  it('never replaces a committed entry', () => {
    const log = new RaftLog(START, entries(1, 1));
    log.commitTo(2);
    expect(() => log.accept(0, [entry(1, 2)])).toThrow('no committed entry is replaced');
  });

  it('does not take entries for stable that were replaced while they were written', () => {
    const log = new RaftLog(START, []);
    log.accept(0, entries(1, 1, 1));
    expect(indexes(log.takeUnstable())).toEqual([1, 2, 3]);
    log.accept(1, [entry(2, 2)]);
    log.stored();
    expect(log.stableIndex).toBe(1);
    expect(indexes(log.takeUnstable())).toEqual([2]);
    log.stored();
    expect(log.stableIndex).toBe(2);
  });

  it('hands out committed entries once, and only those that are on disk', () => {
    const log = new RaftLog(START, []);
    log.accept(0, entries(1, 1, 1));
    log.commitTo(2);
    expect(log.takeCommitted()).toEqual([]);
    log.takeUnstable();
    log.stored();
    expect(indexes(log.takeCommitted())).toEqual([1, 2]);
    expect(log.takeCommitted()).toEqual([]);
    log.commitTo(1);
    expect(log.commitIndex).toBe(2);
  });

  it('says so when it is shorter than the leader knows it to be', () => {
    expect(() => new RaftLog(START, entries(1)).commitTo(2)).toThrow('lost entries that it had acknowledged');
  });

  it('slices by bytes, one entry at least', () => {
    const log = new RaftLog(START, [entry(1, 1, 10), entry(2, 1, 500), entry(3, 1, 10), entry(4, 1, 10)]);
    expect(indexes(log.slice(1, 100))).toEqual([1]);
    expect(indexes(log.slice(2, 100))).toEqual([2]);
    expect(indexes(log.slice(3, 200))).toEqual([3, 4]);
    expect(indexes(log.slice(5, 200))).toEqual([]);
  });

  it('compacts behind a snapshot and keeps some bytes for late followers', () => {
    const log = new RaftLog(START, entries(1, 1, 1, 2, 2, 2));
    log.commitTo(6);
    log.takeCommitted();
    log.compact({ index: 4, term: 2 }, 100);
    expect([log.firstIndex, log.snapshot.index, log.lastIndex]).toEqual([3, 4, 6]);
    expect(log.termAt(2)).toBe(1);
    log.compact({ index: 3, term: 1 }, 0);
    expect(log.snapshot.index).toBe(4);
    log.compact({ index: 6, term: 2 }, 0);
    expect([log.firstIndex, log.lastIndex, log.lastTerm]).toEqual([7, 6, 2]);
    log.checkInvariants();
  });

  it('refuses a snapshot of what was not applied, and one that takes it back', () => {
    const log = new RaftLog(START, entries(1, 1, 1));
    log.commitTo(3);
    expect(() => log.compact({ index: 3, term: 1 }, 0)).toThrow('only what was applied');
    expect(() => log.restore({ index: 3, term: 1 }, NO_MEMBERS)).toThrow('never takes a log back');
  });

  it('starts anew from a leader’s snapshot', () => {
    const log = new RaftLog(START, entries(1, 1, 1));
    log.takeUnstable();
    log.restore({ index: 9, term: 4 }, NO_MEMBERS);
    log.stored();
    expect([log.firstIndex, log.lastIndex, log.stableIndex, log.commitIndex, log.takenIndex]).toEqual([10, 9, 9, 9, 9]);
    log.checkInvariants();
  });

  describe('knows its configuration', () => {
    const change = (index: number, term: number, ...voters: number[]): Entry => ({
      ...{ index, term, kind: 'promote', command: encodeConfiguration(votersNamed(...voters)) },
    });
    const state = (log: RaftLog) => [log.configurationIndex, log.configuration.voters.map(({ id }) => id)];

    it('from when it is appended, committed or not, and takes it back with the entry', () => {
      const log = new RaftLog(START, [entry(1, 1), change(2, 1, 1, 2)], votersNamed(1));
      expect(state(log)).toEqual([2, [1, 2]]);
      log.append(change(3, 1, 1, 2, 3));
      expect(state(log)).toEqual([3, [1, 2, 3]]);
      log.accept(2, [entry(3, 2)]);
      expect(state(log)).toEqual([2, [1, 2]]);
      log.accept(0, entries(3, 3));
      expect(state(log)).toEqual([0, [1]]);
    });

    it('at any entry from the snapshot on, over compactions', () => {
      const log = new RaftLog(
        START,
        [entry(1, 1), change(2, 1, 1, 2), change(3, 1, 1, 2, 3), entry(4, 1)],
        votersNamed(1),
      );
      log.commitTo(4);
      log.takeCommitted();
      log.compact({ index: 3, term: 1 }, 0);
      expect(log.configurationAt(3)).toEqual(votersNamed(1, 2, 3));
      expect(() => log.configurationAt(2)).toThrow('configuration at an entry');
      expect(state(log)).toEqual([3, [1, 2, 3]]);
      log.checkInvariants();
    });

    it('from a snapshot', () => {
      const log = new RaftLog(START, [entry(1, 1), change(2, 1, 1, 2)], votersNamed(1));
      log.restore({ index: 9, term: 4 }, votersNamed(7));
      expect(state(log)).toEqual([9, [7]]);
    });
  });
});
