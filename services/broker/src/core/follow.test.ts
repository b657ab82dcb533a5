import fc from 'fast-check';
import { positionOf, reshapeFor } from './follow.js';
import type { Follow } from './follow.js';

/** A log as the epochs of its records; offsets begin at 0. */
type Log = number[];

function endOffsetForEpoch(log: Log, epoch: number) {
  const next = log.findIndex((one) => one > epoch);
  const endOffset = next === -1 ? log.length : next;
  const last = log[endOffset - 1];
  return last === undefined ? undefined : { leaderEpoch: last, endOffset };
}

function follow(change: Partial<Follow>): Follow {
  return {
    ...{ brokerId: 2, brokerEpoch: 1, leaderEpoch: 9, partitionEpoch: 1 },
    ...{ lastEpoch: -1, logStartOffset: 0, logEndOffset: 0 },
    ...change,
  };
}

describe('the leader finds where logs part', () => {
  const leader = { logStartOffset: 10, logEndOffset: 50 };
  it.each([
    ['a log that ends below its own', { lastEpoch: 2, logEndOffset: 9 }, undefined, { kind: 'restart', offset: 10 }],
    ['a log that holds nothing, within its own', { logEndOffset: 20 }, undefined, { kind: 'agreed' }],
    ['a log that holds nothing, beyond its own', { logEndOffset: 51 }, undefined, { kind: 'restart', offset: 10 }],
    ['no such epoch', { lastEpoch: 2, logEndOffset: 20 }, undefined, { kind: 'restart', offset: 10 }],
    ['the same epoch that goes on', { lastEpoch: 2, logEndOffset: 20 }, [2, 30], { kind: 'agreed' }],
    [
      'the same epoch that ends before',
      { lastEpoch: 2, logEndOffset: 31 },
      [2, 30],
      { kind: 'diverging', epoch: 2, endOffset: 30 },
    ],
    ['an earlier epoch', { lastEpoch: 3, logEndOffset: 20 }, [2, 30], { kind: 'diverging', epoch: 2, endOffset: 30 }],
  ])('for %s', (_, change, found, expected) => {
    const [leaderEpoch, endOffset] = (found ?? []) as number[];
    const at = leaderEpoch === undefined || endOffset === undefined ? undefined : { leaderEpoch, endOffset };
    expect(positionOf(leader, follow(change), at)).toEqual(expected);
  });
});

describe('the follower cuts off what the leader does not have', () => {
  const own = { logStartOffset: 0, logEndOffset: 40 };
  const diverging = { kind: 'diverging', epoch: 2, endOffset: 30 } as const;
  it.each([
    ['in the same epoch to the smaller end', { leaderEpoch: 2, endOffset: 35 }, { kind: 'truncate', to: 30 }],
    ['in the same epoch to its own end', { leaderEpoch: 2, endOffset: 25 }, { kind: 'truncate', to: 25 }],
    [
      'to the end of its epoch before one that only the leader knows',
      { leaderEpoch: 1, endOffset: 20 },
      { kind: 'truncate', to: 20 },
    ],
    ['all of it, where nothing is as old', undefined, { kind: 'truncate', to: 0 }],
    ['all of it, where that would cut off nothing', { leaderEpoch: 1, endOffset: 40 }, { kind: 'restart', at: 5 }],
  ])('%s', (_, found, expected) => {
    expect(reshapeFor(own, diverging, found, 5)).toEqual(expected);
  });
});

describe('a follower that has deleted what its leader still has', () => {
  const own = { logStartOffset: 8, logEndOffset: 18 };
  const diverging = { kind: 'diverging', epoch: 1, endOffset: 8 } as const;

  it('cuts off all of its batches, and does not go below its log start, where everything was committed', () => {
    expect(reshapeFor(own, diverging, undefined, 0)).toEqual({ kind: 'truncate', to: 8 });
    const emptied = follow({ logStartOffset: 8, logEndOffset: 8 });
    expect(positionOf({ logStartOffset: 0, logEndOffset: 8 }, emptied, undefined)).toEqual({ kind: 'agreed' });
  });

  it('begins anew where the leader begins, where it holds nothing', () => {
    const empty = { logStartOffset: 8, logEndOffset: 8 };
    expect(reshapeFor(empty, diverging, undefined, 12)).toEqual({ kind: 'restart', at: 12 });
  });
});

/** Leaders come and go: each appends, and one other replica copies some of it. */
const history = fc.array(fc.record({ leader: fc.nat(2), appended: fc.nat(4), other: fc.nat(2), copied: fc.nat(12) }), {
  maxLength: 8,
});

function logsAfter(steps: readonly { leader: number; appended: number; other: number; copied: number }[]): Log[] {
  const logs: Log[] = [[], [], []];
  for (const [epoch, { leader, appended, other, copied }] of steps.entries()) {
    const led = logs[leader] ?? [];
    for (let n = 0; n < appended; n++) led.push(epoch);
    // What both have; where they part an epoch differs, since an epoch has one leader, which wrote one log.
    const before = logs[other] ?? [];
    let common = 0;
    while (common < Math.min(led.length, before.length) && led[common] === before[common]) common += 1;
    if (other !== leader) logs[other] = led.slice(0, Math.max(common, Math.min(copied, led.length)));
  }
  return logs;
}

it('agrees on what both have after some rounds, whatever happened, and cuts off nothing of it', () => {
  fc.assert(
    fc.property(history, (steps) => {
      const [leader = [], original = []] = logsAfter(steps);
      const follower = [...original];
      let common = 0;
      while (common < Math.min(leader.length, follower.length) && leader[common] === follower[common]) common += 1;
      for (let round = 0; ; round++) {
        expect(round).toBeLessThanOrEqual(original.length + 1);
        const question = follow({ lastEpoch: follower.at(-1) ?? -1, logEndOffset: follower.length });
        const bounds = { logStartOffset: 0, logEndOffset: leader.length };
        const position = positionOf(bounds, question, endOffsetForEpoch(leader, question.lastEpoch));
        if (position.kind === 'agreed') break;
        const own = position.kind === 'diverging' ? endOffsetForEpoch(follower, position.epoch) : undefined;
        const reshape = reshapeFor({ logStartOffset: 0, logEndOffset: follower.length }, position, own, 0);
        const length = reshape.kind === 'truncate' ? reshape.to : 0;
        expect(length < follower.length).toBe(true);
        follower.length = length;
      }
      expect(follower).toEqual(leader.slice(0, common));
    }),
    { numRuns: 3000 },
  );
});
