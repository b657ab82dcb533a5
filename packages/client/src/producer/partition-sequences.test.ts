import type { ProducerState } from '@barnabas/protocol';
import { PartitionSequences, sequenceAfter } from './partition-sequences.js';
import type { ProducerId, ProducerIds } from './producer-ids.js';

/** Ids that a test hands out. */
class Ids {
  current: ProducerId | undefined;
  asked = 0;

  get(stale?: number): ProducerId | undefined {
    if (this.current !== undefined && this.current.producerId !== stale) return this.current;
    this.asked++;
    return undefined;
  }
}

class Batch {
  state: ProducerState | undefined;

  constructor(readonly recordCount: number) {}

  renumber(state: ProducerState): void {
    this.state = state;
  }
}

function make(producerEpoch = 0) {
  const ids = new Ids();
  ids.current = { producerId: 7, producerEpoch };
  return { ids, sequences: new PartitionSequences(ids as unknown as ProducerIds) };
}

test('numbers follow each other', () => {
  const { sequences } = make();
  expect(sequences.assign(3)).toEqual({ producerId: 7, producerEpoch: 0, baseSequence: 0 });
  expect(sequences.assign(1).baseSequence).toBe(3);
  expect(sequences.assign(1).baseSequence).toBe(4);
});

test('after 2^31 - 1 they begin again at 0', () => {
  const state = { producerId: 7, producerEpoch: 0, baseSequence: 2 ** 31 - 2 };
  expect(sequenceAfter(state, 1).baseSequence).toBe(2 ** 31 - 1);
  expect(sequenceAfter(state, 2).baseSequence).toBe(0);
  expect(sequenceAfter(state, 5).baseSequence).toBe(3);
});

test('there are none before there is an id', () => {
  const { ids, sequences } = make();
  ids.current = undefined;
  expect(sequences.isBlocked).toBe(true);
  expect(ids.asked).toBe(1);
  ids.current = { producerId: 8, producerEpoch: 0 };
  sequences.idReady([]);
  expect(sequences.isBlocked).toBe(false);
  expect(sequences.assign(1).producerId).toBe(8);
});

test('after a failure no new number is given until it is clear what the leader has', () => {
  const { sequences } = make();
  sequences.assign(2);
  sequences.assign(2);
  sequences.failed();
  expect(sequences.mayAssign).toBe(false);
  // What is still to be sent again will tell.
  sequences.drained([new Batch(2)]);
  expect(sequences.mayAssign).toBe(false);
  sequences.accepted();
  expect(sequences.mayAssign).toBe(true);
  expect(sequences.assign(1)).toEqual({ producerId: 7, producerEpoch: 0, baseSequence: 4 });
});

test('with nothing left to tell, the next numbers are of a new epoch', () => {
  const { sequences } = make();
  sequences.assign(2);
  sequences.failed();
  sequences.drained([]);
  expect(sequences.assign(1)).toEqual({ producerId: 7, producerEpoch: 1, baseSequence: 0 });
});

test('a restart waits until nothing is on its way, and then numbers what is next anew', () => {
  const { sequences } = make();
  sequences.assign(2);
  sequences.restart('next-epoch');
  expect(sequences.mayAssign).toBe(false);
  const batches = [new Batch(2), new Batch(3)];
  sequences.drained(batches);
  expect(batches.map(({ state }) => state)).toEqual([
    { producerId: 7, producerEpoch: 1, baseSequence: 0 },
    { producerId: 7, producerEpoch: 1, baseSequence: 2 },
  ]);
  expect(sequences.assign(1).baseSequence).toBe(5);
});

test.each<[string, number, 'next-epoch' | 'new-id']>([
  ['an epoch that is taken', 0, 'new-id'],
  ['the last epoch', 32_767, 'next-epoch'],
])('after %s comes another id', (_, epoch, how) => {
  const { ids, sequences } = make(epoch);
  sequences.assign(1);
  sequences.restart(how);
  const batch = new Batch(1);
  sequences.drained([batch]);
  expect(sequences.isBlocked).toBe(true);
  expect(batch.state).toBeUndefined();
  ids.current = { producerId: 9, producerEpoch: 0 };
  sequences.idReady([batch]);
  expect(batch.state).toEqual({ producerId: 9, producerEpoch: 0, baseSequence: 0 });
  expect(sequences.assign(1)).toEqual({ producerId: 9, producerEpoch: 0, baseSequence: 1 });
});

test('an id that another partition has renewed already is taken at once', () => {
  const { ids, sequences } = make();
  sequences.assign(1);
  ids.current = { producerId: 9, producerEpoch: 0 };
  sequences.restart('new-id');
  const batch = new Batch(1);
  sequences.drained([batch]);
  expect(batch.state?.producerId).toBe(9);
});
