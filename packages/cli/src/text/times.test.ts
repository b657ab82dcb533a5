import { formatDuration, parseDateTime, parseDuration } from './times.js';

test.each([
  ['P1D', 86_400_000],
  ['PT1H30M', 5_400_000],
  ['P1DT2H3M4.5S', 93_784_500],
  ['P2W', 1_209_600_000],
  ['PT0S', 0],
])('%s is a duration', (text, ms) => expect(parseDuration(text)).toBe(ms));

test.each(['', 'P', 'PT', 'P1', '1D', 'P1M', 'P1Y', 'PT1D', 'P-1D', 'PT1.5H', 'P1DT', `PT${'9'.repeat(20)}H`])(
  '%j is none',
  (text) => expect(parseDuration(text)).toBeUndefined(),
);

test.each([
  ['2026-07-01T12:00:00.000', Date.UTC(2026, 6, 1, 12)],
  ['2026-07-01T12:00', Date.UTC(2026, 6, 1, 12)],
  ['2026-07-01T12:00:00Z', Date.UTC(2026, 6, 1, 12)],
  ['2026-07-01T12:00:00+02:00', Date.UTC(2026, 6, 1, 10)],
  ['2026-07-01', Date.UTC(2026, 6, 1)],
  ['2024-02-29', Date.UTC(2024, 1, 29)],
])('%s is a time', (text, ms) => expect(parseDateTime(text)).toBe(ms));

test.each(['', 'now', '2026-13-01', '2026-02-30', '2026-07-01T25:00', '2026-07-01 12:00', '1969-12-31', '12:00'])(
  '%j is none',
  (text) => expect(parseDateTime(text)).toBeUndefined(),
);

test.each([
  [0, '0'],
  [1, '1ms'],
  [999, '999ms'],
  [1_000, '1.0s'],
  [119_900, '119.9s'],
  [120_000, '2.0m'],
  [7_200_000, '2.0h'],
  [172_800_000, '2.0d'],
])('%d ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text));
