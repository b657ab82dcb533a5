import { SeededRandom } from './random.js';

const draw = (seed: number) => {
  const random = new SeededRandom(seed);
  return Array.from({ length: 50 }, () => random.below(1000));
};

it('gives the same numbers for the same seed and others for another', () => {
  expect(draw(42)).toEqual(draw(42));
  expect(draw(42)).not.toEqual(draw(43));
});

it('stays within its bounds and reaches all of them', () => {
  const random = new SeededRandom(7);
  const seen = new Set(Array.from({ length: 1000 }, () => random.below(6)));
  expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  const floats = Array.from({ length: 1000 }, () => random.float());
  expect(Math.min(...floats)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...floats)).toBeLessThan(1);
});

it('begins far apart for neighbouring seeds', () => {
  const first = Array.from({ length: 1000 }, (_, seed) => new SeededRandom(seed).below(10));
  for (let digit = 0; digit < 10; digit++) expect(first.filter((draw) => draw === digit).length).toBeGreaterThan(60);
});
