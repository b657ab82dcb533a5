import fc from 'fast-check';
import { planOffset } from './reset-plan.js';
import type { PartitionFacts, Reset } from './reset-plan.js';

const offset = fc.integer({ min: 0, max: 1_000 });
const facts: fc.Arbitrary<PartitionFacts> = fc
  .record({ ends: fc.tuple(offset, offset), committed: fc.option(offset, { nil: undefined }), found: fc.integer() })
  .map(({ ends: [one, other], committed, found }) => {
    const [logStartOffset, logEndOffset] = [Math.min(one, other), Math.max(one, other)];
    const size = logEndOffset - logStartOffset;
    // A search by time finds a record that is in the log, or none.
    const at = size === 0 || found < 0 ? undefined : logStartOffset + (found % size);
    return { topic: 't', partition: 3, committed, logStartOffset, logEndOffset, found: at };
  });
const reset: fc.Arbitrary<Reset> = fc.oneof(
  fc.constantFrom<Reset>({ to: 'earliest' }, { to: 'latest' }, { to: 'current' }, { to: 'time' }),
  offset.map((wanted): Reset => ({ to: 'offset', offset: wanted })),
  fc.integer({ min: -1_500, max: 1_500 }).map((by): Reset => ({ to: 'shift', by })),
);

/** The middle one of three: written differently than the code under test. */
const nearest = (wanted: number, { logStartOffset, logEndOffset }: PartitionFacts) =>
  [wanted, logStartOffset, logEndOffset].sort((one, other) => one - other)[1];

test('every reset but to what is committed leads into the log, and says so where it was asked for elsewhere', () => {
  fc.assert(
    fc.property(reset, facts, (asked, at) => {
      const planned = planOffset(asked, at);
      if (planned === undefined) {
        expect([asked.to, at.committed]).toEqual(['shift', undefined]);
        return;
      }
      expect(planned).toMatchObject({ topic: 't', partition: 3, committed: at.committed });
      if (asked.to === 'current' && at.committed !== undefined) {
        expect(planned).toMatchObject({ offset: at.committed, warning: undefined });
        return;
      }
      expect(planned.offset).toBeGreaterThanOrEqual(at.logStartOffset);
      expect(planned.offset).toBeLessThanOrEqual(at.logEndOffset);
      const wanted =
        asked.to === 'offset' ? asked.offset : asked.to === 'shift' ? (at.committed ?? 0) + asked.by : undefined;
      if (wanted === undefined) return;
      expect(planned.offset).toBe(nearest(wanted, at));
      expect(planned.warning === undefined).toBe(planned.offset === wanted);
    }),
    { numRuns: 2_000 },
  );
});

test('a shift there and back is where it was, unless the log ended on the way', () => {
  fc.assert(
    fc.property(facts, fc.integer({ min: -500, max: 500 }), (at, by) => {
      fc.pre(at.committed !== undefined && at.committed >= at.logStartOffset && at.committed <= at.logEndOffset);
      const there = planOffset({ to: 'shift', by }, at);
      fc.pre(there?.warning === undefined);
      const back = planOffset({ to: 'shift', by: -by }, { ...at, committed: there?.offset });
      expect(back?.offset).toBe(at.committed);
    }),
  );
});

test.each<[Reset, Partial<PartitionFacts>, number | undefined, string | undefined]>([
  [{ to: 'earliest' }, {}, 10, undefined],
  [{ to: 'latest' }, {}, 20, undefined],
  [{ to: 'current' }, { committed: 12 }, 12, undefined],
  [{ to: 'current' }, {}, 20, 'nothing is committed for t-0: it goes to the end, 20'],
  [{ to: 'time' }, { found: 14 }, 14, undefined],
  [{ to: 'time' }, {}, 20, 'no record of t-0 is that young: it goes to the end, 20'],
  [{ to: 'offset', offset: 15 }, {}, 15, undefined],
  [{ to: 'offset', offset: 20 }, {}, 20, undefined],
  [{ to: 'offset', offset: 21 }, {}, 20, '21 is above the end of t-0: it goes to 20'],
  [{ to: 'offset', offset: 9 }, {}, 10, '9 is below the start of t-0: it goes to 10'],
  [{ to: 'shift', by: -1 }, { committed: 12 }, 11, undefined],
  [{ to: 'shift', by: -5 }, { committed: 12 }, 10, '7 is below the start of t-0: it goes to 10'],
  [{ to: 'shift', by: 1 }, {}, undefined, undefined],
])('%j with %j', (asked, given, expected, warning) => {
  const at = { topic: 't', partition: 0, committed: undefined, logStartOffset: 10, logEndOffset: 20, ...given };
  const planned = planOffset(asked, at);
  expect([planned?.offset, planned?.warning]).toEqual([expected, warning]);
});
