import { check } from './checker';
import type { Found, History } from './checker';

const record = (sequence: number, offset: number, producer = 'p'): Found => ({
  producer,
  partition: 0,
  sequence,
  offset,
});

/** Three records sent, acknowledged and found. */
const good: History = {
  sent: [record(0, -1), record(1, -1), record(2, -1)],
  acknowledged: [record(0, 10), record(1, 11), record(2, 12)],
  found: [record(0, 10), record(1, 11), record(2, 12)],
};

const kinds = (history: Partial<History>) => check({ ...good, ...history }).map(({ kind }) => kind);

describe('the checker of crash histories', () => {
  it('finds nothing wrong with a history that is right', () => expect(kinds({})).toEqual([]));

  it('does not mind an unacknowledged record that is there, or is not', () => {
    expect(kinds({ acknowledged: good.acknowledged.slice(0, 2) })).toEqual([]);
    expect(kinds({ acknowledged: good.acknowledged.slice(0, 2), found: good.found.slice(0, 2) })).toEqual([]);
  });

  it('finds an acknowledged record that is gone', () =>
    expect(kinds({ found: good.found.slice(0, 2) })).toEqual(['lost-write']));

  it('finds a record that is there twice', () =>
    expect(kinds({ found: [...good.found, record(2, 13)] })).toEqual(['duplicate']));

  it('finds a record at another offset than acknowledged', () =>
    expect(kinds({ found: [record(0, 10), record(1, 11), record(2, 14)] })).toEqual(['inconsistent-offsets']));

  it('finds records out of order', () =>
    expect(kinds({ acknowledged: [], found: [record(0, 10), record(2, 11), record(1, 12)] })).toEqual([
      'nonmonotonic-send',
    ]));

  it('finds a record nobody sent', () =>
    expect(kinds({ found: [...good.found, record(7, 13, 'q')] })).toEqual(['unsent']));
});
