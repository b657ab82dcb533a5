/** The checker against histories known to be good or bad, and against every order of small ones. */
import { SeededRandom } from '@barnabas/common';
import { checkLinearizable } from './checker.js';
import { registersProblem } from './registers.js';
import type { RegisterOperation } from './registers.js';

type Drawn = readonly [line: string, what: 'w' | 'r', value: string];

/**
 * A history as it is drawn in papers: each operation on a line of its own, from `|` to `|`; one that
 * does not end in `|` has an unknown outcome. Columns are moments.
 */
function history(...drawn: readonly Drawn[]): RegisterOperation[] {
  return drawn.map(([line, what, value], row) => {
    // No two moments are equal: rows in one column come one after another, invocations first.
    const invokedAt = line.indexOf('|') * 100 + row;
    const endedAt = line.lastIndexOf('|') > line.indexOf('|') ? line.lastIndexOf('|') * 100 + 50 + row : undefined;
    const register = 'x';
    if (what === 'w') return { invokedAt, endedAt, action: { type: 'write', register, value } };
    return { invokedAt, endedAt, action: { type: 'read', register, value: value === '-' ? undefined : value } };
  });
}

describe('linearizable', () => {
  it.each<[string, readonly Drawn[]]>([
    ['nothing', []],
    ['a read of nothing', [['|--|', 'r', '-']]],
    [
      'one after another',
      [
        ['|-|      ', 'w', 'a'],
        ['    |-|  ', 'r', 'a'],
        ['       |-|', 'r', 'a'],
      ],
    ],
    [
      'a read during a write may see it or not',
      [
        ['|--------|', 'w', 'a'],
        [' |-|      ', 'r', '-'],
        ['     |-|  ', 'r', 'a'],
      ],
    ],
    [
      'writes at the same time, in the order that reads show, not that of their invocations',
      [
        ['|------|      ', 'w', 'a'],
        [' |------|     ', 'w', 'b'],
        ['          |-| ', 'r', 'a'],
      ],
    ],
    [
      'the order is found only by going back',
      [
        ['|----------|       ', 'w', 'a'],
        ['|----------|       ', 'w', 'b'],
        ['|----------|       ', 'w', 'c'],
        ['             |-|   ', 'r', 'b'],
        [' |-|               ', 'r', 'c'],
        ['     |-|           ', 'r', 'a'],
      ],
    ],
    [
      'a write of unknown outcome that took effect late',
      [
        ['|              ', 'w', 'a'],
        ['  |-|          ', 'r', '-'],
        ['      |-|      ', 'w', 'b'],
        ['          |-|  ', 'r', 'b'],
        ['              |-|', 'r', 'a'],
      ],
    ],
    [
      'a write of unknown outcome that never took effect',
      [
        ['|              ', 'w', 'a'],
        ['  |-|          ', 'w', 'b'],
        ['      |-|      ', 'r', 'b'],
      ],
    ],
  ])('%s', (_, drawn) => {
    expect(registersProblem(history(...drawn))).toBeUndefined();
  });
});

describe('not linearizable', () => {
  it.each<[string, readonly Drawn[], string]>([
    ['a value from nowhere', [['|--|', 'r', 'a']], 'read of a'],
    [
      'a stale read',
      [
        ['|-|          ', 'w', 'a'],
        ['    |-|      ', 'w', 'b'],
        ['        |-|  ', 'r', 'a'],
      ],
      'read of a',
    ],
    [
      'an acknowledged write that is gone',
      [
        ['|-|      ', 'w', 'a'],
        ['    |-|  ', 'r', '-'],
      ],
      'read of nothing',
    ],
    [
      'two reads during a write that go back in time',
      [
        ['|-------------|', 'w', 'a'],
        ['  |-|          ', 'r', 'a'],
        ['       |-|     ', 'r', '-'],
      ],
      'read of nothing',
    ],
    [
      'readers that disagree on the order of two writes',
      [
        ['|---|             ', 'w', 'a'],
        ['|---|             ', 'w', 'b'],
        ['      |-|         ', 'r', 'a'],
        ['          |-|     ', 'r', 'b'],
        ['              |-| ', 'r', 'a'],
      ],
      'read of',
    ],
    [
      'a write of unknown outcome that was seen before it was invoked',
      [
        ['|-|        ', 'r', 'a'],
        ['     |     ', 'w', 'a'],
      ],
      'read of a',
    ],
    [
      'a write of unknown outcome that took effect twice',
      [
        ['|                 ', 'w', 'a'],
        ['  |-|             ', 'r', 'a'],
        ['      |-|         ', 'w', 'b'],
        ['          |-|     ', 'r', 'b'],
        ['              |-| ', 'r', 'a'],
      ],
      'read of a',
    ],
  ])('%s', (_, drawn, text) => {
    expect(registersProblem(history(...drawn))).toContain(text);
  });
});

test('registers do not depend on each other, and the one that is wrong is named', () => {
  const good = history(['|-|    ', 'w', 'a'], ['    |-|', 'r', 'a']);
  const bad = history(['|-|    ', 'w', 'a'], ['    |-|', 'r', '-']).map((operation) => ({
    ...operation,
    action: { ...operation.action, register: 'y' },
  }));
  expect(registersProblem(good)).toBeUndefined();
  expect(registersProblem([...good, ...bad])).toContain('register y');
});

test('gives up instead of searching for ever', () => {
  // Any subset may have been placed, and none of them explains the read.
  const writes = Array.from({ length: 30 }, (_, n): Drawn => ['|    ', 'w', `${n}`]);
  const operations = history(...writes, ['   |-|', 'r', 'other']);
  const model = {
    initial: '',
    apply: (state: string, { type, value }: RegisterOperation['action']) => {
      if (type === 'write') return { state: [...state, value].sort().join('') };
      return state === value ? { state } : undefined;
    },
    key: (state: string) => state,
  };
  expect(checkLinearizable(operations, model, 1000)).toEqual({ linearizable: 'undecided' });
});

/** True if some order of all completed operations, and any of the others, explains the history: by trying all. */
function byTryingAll(operations: readonly RegisterOperation[], state?: string): boolean {
  if (operations.every(({ endedAt }) => endedAt === undefined)) return true;
  const firstEnd = Math.min(...operations.map(({ endedAt }) => endedAt ?? Number.POSITIVE_INFINITY));
  return operations.some((operation) => {
    const { invokedAt, action } = operation;
    if (invokedAt > firstEnd || (action.type === 'read' && action.value !== state)) return false;
    const rest = operations.filter((one) => one !== operation);
    return byTryingAll(rest, action.value);
  });
}

test('agrees with trying all orders, on thousands of small histories', () => {
  const random = new SeededRandom(1);
  const verdicts = { good: 0, bad: 0 };
  for (let run = 0; run < 4000; run++) {
    const moments = Array.from({ length: 12 }, (_, at) => at).sort(() => random.below(3) - 1);
    const operations = Array.from({ length: 6 }, (_, n): RegisterOperation => {
      const [one = 0, other = 0] = moments.slice(2 * n, 2 * n + 2);
      const [invokedAt, end] = [Math.min(one, other), Math.max(one, other)];
      const endedAt = random.below(5) === 0 ? undefined : end;
      if (n < 3) return { invokedAt, endedAt, action: { type: 'write', register: 'x', value: `${n}` } };
      const value = [undefined, '0', '1', '2'][random.below(4)];
      return { invokedAt, endedAt: end, action: { type: 'read', register: 'x', value } };
    });
    const good = byTryingAll(operations);
    expect({ operations, good: registersProblem(operations) === undefined }).toEqual({ operations, good });
    verdicts[good ? 'good' : 'bad'] += 1;
  }
  // Both kinds, and many of each.
  expect(verdicts.good).toBeGreaterThan(400);
  expect(verdicts.bad).toBeGreaterThan(400);
});
