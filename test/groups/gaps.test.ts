import { Gaps } from './gaps';
import type { GroupEvent } from './history';

const record = (member: string, partition: number, atMs: number): GroupEvent => ({
  ...{ kind: 'record', member, partition, atMs, offset: 0, value: 0 },
});

describe('gaps', () => {
  it('tells the longest silence of each member and partition, the first and the last included', () => {
    const gaps = new Gaps(new Set(['a', 'b']), [0, 1], 100);
    for (const event of [record('a', 0, 150), record('a', 1, 160), record('a', 0, 200)]) gaps.observe(event);
    gaps.observe(record('c', 1, 210)); // is not watched
    gaps.observe({ kind: 'exit', member: 'a', atMs: 220 });
    expect(gaps.ofMembers(250)).toEqual([50, 150]);
    expect(gaps.ofPartitions([0, 1], 250)).toEqual([50, 90]);
  });
});
