import { fuzz } from './fuzz.js';

test('20,000 damaged batches break no promise', () => {
  const { outcomes } = fuzz({ inputs: 20_000, seed: 20_261_123 });
  // The damage must reach every way of refusing, and leave something to accept.
  for (const outcome of [
    'accepted',
    'CORRUPT_MESSAGE',
    'INVALID_RECORD',
    'MESSAGE_TOO_LARGE',
    'UNSUPPORTED_COMPRESSION_TYPE',
  ] as const) {
    expect(outcomes.get(outcome)).toBeGreaterThan(100);
  }
});

test('a seed makes the same inputs again', () => {
  expect([...fuzz({ inputs: 500, seed: 7 }).outcomes]).toEqual([...fuzz({ inputs: 500, seed: 7 }).outcomes]);
});
