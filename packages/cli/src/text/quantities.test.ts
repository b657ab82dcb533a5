import { count, formatBytes, formatRanges } from './quantities.js';

test.each([
  [[], ''],
  [[3], '3'],
  [[2, 0, 1], '0-2'],
  [[0, 1, 4, 6, 7], '0-1,4,6-7'],
])('ranges of %j', (numbers, text) => {
  expect(formatRanges(numbers)).toBe(text);
});

test('bytes, and how many of something', () => {
  expect([formatBytes(12), formatBytes(1_250_000)]).toEqual(['12 B', '1.25 MB']);
  expect([count(1, 'topic'), count(0, 'topic')]).toEqual(['1 topic', '0 topics']);
});
