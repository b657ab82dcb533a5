import { InSyncSet } from './isr.js';
import type { IsrProposal } from './isr.js';

const member = (brokerId: number) => ({ brokerId, brokerEpoch: 1 });
const proposal = (partitionEpoch: number, ...isr: number[]): IsrProposal => ({
  leaderEpoch: 0,
  partitionEpoch,
  isr: isr.map(member),
});

describe('a pending change', () => {
  it('counts who is to be admitted from the moment it is proposed, and not those who are to leave as gone', () => {
    const isr = new InSyncSet([1, 2], 4);
    isr.propose(proposal(4, 1, 3));
    expect(isr.committed).toEqual([1, 2]);
    expect(isr.maximal).toEqual([1, 2, 3]);
    expect(isr.commit([1, 3], 5)).toBe(true);
    expect([isr.committed, isr.maximal, isr.pending]).toEqual([[1, 3], [1, 3], undefined]);
  });

  it('is dropped when it is refused for certain', () => {
    const isr = new InSyncSet([1], 4);
    isr.propose(proposal(4, 1, 2));
    expect(isr.answered({ kind: 'refused' }, member)).toBeUndefined();
    expect([isr.maximal, isr.pending]).toEqual([[1], undefined]);
  });

  it('stays, and counts, when it was overtaken by what nobody has told yet', () => {
    const isr = new InSyncSet([1], 4);
    isr.propose(proposal(4, 1, 2));
    expect(isr.answered({ kind: 'superseded' }, member)).toBeUndefined();
    expect(isr.maximal).toEqual([1, 2]);
    expect(isr.commit([1], 5)).toBe(true);
    expect(isr.maximal).toEqual([1]);
  });

  it('counts who may yet be admitted, though a later attempt was refused, until the partition epoch has moved', () => {
    const isr = new InSyncSet([1, 2], 4);
    const first = proposal(4, 1, 2, 3);
    isr.propose(first);
    expect(isr.answered({ kind: 'unknown' }, member)).toBe(first);
    const voiding = isr.answered({ kind: 'refused' }, member);
    expect(voiding).toEqual(proposal(4, 1, 2));
    expect(isr.maximal).toEqual([1, 2, 3]);
    // That may be lost as well.
    expect(isr.answered({ kind: 'unknown' }, member)).toBe(voiding);
    expect(isr.maximal).toEqual([1, 2, 3]);
    expect(isr.commit([1, 2], 5)).toBe(true);
    expect(isr.maximal).toEqual([1, 2]);
    isr.propose(proposal(5, 1, 2, 3));
  });

  it('is one, and builds on what is committed', () => {
    const isr = new InSyncSet([1], 4);
    expect(() => isr.propose(proposal(3, 1, 2))).toThrow('P9');
    isr.propose(proposal(4, 1, 2));
    expect(() => isr.propose(proposal(4, 1, 3))).toThrow('P9');
  });
});
