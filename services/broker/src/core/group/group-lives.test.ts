/** Random lives of groups; what is judged stands in test-kit/lives.ts. GROUP_LIVES=n runs n seeds. */
import { GroupLife } from './test-kit/lives.js';

const SEEDS = Number(process.env['GROUP_LIVES'] ?? 60);
const STEPS = 400;

test.each([
  ['honest members', false],
  ['members some of whom lie', true],
])('%s: one owner, commits that stay, and peace in the end', (_name, liars) => {
  const total = { heartbeats: 0, commits: 0, refusedCommits: 0, moves: 0, removals: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const report = new GroupLife(seed, { liars }).run(STEPS);
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += report[key];
  }
  // A life in which nothing happens proves nothing.
  expect(total.heartbeats).toBeGreaterThan(SEEDS * 50);
  expect(total.commits - total.refusedCommits).toBeGreaterThan(SEEDS);
  expect(total.refusedCommits).toBeGreaterThan(SEEDS);
  expect(total.moves).toBeGreaterThan(SEEDS * 5);
  expect(total.removals).toBeGreaterThan(SEEDS / 2);
});

test('a life lived again is the same life', () => {
  expect(new GroupLife(7).run(STEPS)).toEqual(new GroupLife(7).run(STEPS));
});
