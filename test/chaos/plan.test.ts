import { SeededRandom } from '@barnabas/common';
import { FAULT_KINDS, planFaults } from './plan';

const plan = (seed: number, kinds = FAULT_KINDS.slice()) =>
  planFaults({ random: new SeededRandom(seed), totalMs: 600_000, kinds });

it('makes one plan of one seed, and others of others', () => {
  expect(plan(1)).toEqual(plan(1));
  expect(plan(1)).not.toEqual(plan(2));
});

it('begins every fault within the time, in order, and brings every kind', () => {
  const faults = [1, 2, 3].flatMap((seed) => plan(seed));
  expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(FAULT_KINDS));
  for (const fault of faults) {
    expect(fault.atMs).toBeLessThan(600_000);
    expect(fault.durationMs).toBeGreaterThan(0);
  }
  const times = plan(1).map(({ atMs }) => atMs);
  expect(times).toEqual([...times].sort((a, b) => a - b));
});

it('brings only the kinds it is given', () =>
  expect(new Set(plan(1, ['kill-all', 'slow-link']).map(({ kind }) => kind))).toEqual(
    new Set(['kill-all', 'slow-link']),
  ));

it('lets a kind last as long as it is said to, and changes nothing for the others', () => {
  const most = 40_000;
  const durationOf = (kind: string) => (kind === 'pause-broker' ? { least: most - 1_000, most } : undefined);
  const kinds = FAULT_KINDS.slice();
  const stretched = planFaults({ random: new SeededRandom(1), totalMs: 600_000, kinds, durationOf });
  const pauses = stretched.filter(({ kind }) => kind === 'pause-broker');
  expect(pauses.length).toBeGreaterThan(0);
  for (const { durationMs } of pauses) {
    expect(durationMs).toBeGreaterThanOrEqual(most - 1_000);
    expect(durationMs).toBeLessThanOrEqual(most);
  }
  const first = stretched.findIndex(({ kind }) => kind === 'pause-broker');
  expect(stretched.slice(0, first)).toEqual(plan(1).slice(0, first));
});
