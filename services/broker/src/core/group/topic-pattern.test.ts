import { BarnabasError } from '@barnabas/protocol';
import fc from 'fast-check';
import { TopicPattern } from './topic-pattern.js';

const matches = (pattern: string, name: string) => new TopicPattern(pattern).matches(name);

test.each([
  ['orders', ['orders'], ['orders2', 'order', '']],
  ['orders-.*', ['orders-', 'orders-eu'], ['orders', 'x-orders-']],
  ['^orders.*$', ['orders', 'orders1'], ['xorders']],
  ['(eu|us)\\.orders', ['eu.orders', 'us.orders'], ['eu-orders', 'orders']],
  ['(?:a|b)+', ['a', 'abba'], ['', 'abc']],
  ['[a-c_-]+', ['a-b_c', '-'], ['d', 'aD']],
  ['[^0-9]*', ['abc', ''], ['a1']],
  ['a{2,3}', ['aa', 'aaa'], ['a', 'aaaa']],
  ['a{2}', ['aa'], ['aaa']],
  ['a{2,}', ['aa', 'aaaaaa'], ['a']],
  ['\\d+\\.\\w*', ['12.a_1'], ['a.1']],
  ['x?y', ['y', 'xy'], ['xxy']],
  ['a||b', ['', 'a', 'b'], ['ab']],
  ['.*?x', ['x', 'aax'], ['a']],
  ['[]a]+', [']a'], ['b']],
])('%s', (pattern, matching, others) => {
  for (const name of matching) expect([name, matches(pattern, name)]).toEqual([name, true]);
  for (const name of others) expect([name, matches(pattern, name)]).toEqual([name, false]);
});

test.each([
  ['', 'empty'],
  ['(', 'not closed'],
  ['a)', 'position 1'],
  ['[a', 'not closed'],
  ['*a', 'position 0'],
  ['a**', 'position 2'],
  ['(?=a)', 'not supported'],
  ['(a)\\1', 'not supported'],
  ['\\bword', 'not supported'],
  ['a{3,2}', 'ends before it begins'],
  ['a{9999}', 'repeats more'],
  ['[z-a]', 'ends before it begins'],
  ['a^b', 'position 1'],
  ['a{', 'position 1'],
  ['a\\', 'not supported'],
  ['('.repeat(200), 'nested deeper'],
  ['x'.repeat(1_001), 'more than 1000 characters'],
  ['((a{100}){100}){100}', 'states'],
  ['(a|b)*a(a|b){40}', 'too many ways'],
])('refuses %s', (pattern, why) => {
  const make = () => new TopicPattern(pattern);
  expect(make).toThrow(BarnabasError);
  expect(make).toThrow(why);
});

test('agrees with the expressions of the language on whole names', () => {
  const leaf = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\w', '\\d', '-');
  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.tuple(tie('pattern'), tie('pattern')).map(([one, other]) => `${one}${other}`),
      fc.tuple(tie('pattern'), tie('pattern')).map(([one, other]) => `(${one}|${other})`),
      fc
        .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '{0,}'))
        .map(([one, many]) => `(${one})${many}`),
    ),
  }));
  fc.assert(
    fc.property(
      pattern,
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '1', '-', '_'), maxLength: 8 })),
      (source, names) => {
        const ours = new TopicPattern(source);
        const theirs = new RegExp(`^(?:${source})$`);
        for (const name of names) expect([name, ours.matches(name)]).toEqual([name, theirs.test(name)]);
      },
    ),
    { numRuns: 500 },
  );
});

test('what backtracks for ever elsewhere is linear here', () => {
  const pattern = new TopicPattern('(a+)+(a|a)*b');
  expect(pattern.matches('a'.repeat(249))).toBe(false);
  expect(pattern.matches(`${'a'.repeat(248)}b`)).toBe(true);
});
