import { v1 } from '@barnabas/protocol';
import { TestBroker } from '../test-kit/test-broker.js';
import { batchEntry, batchOf, errorCodeOf, produceRequest, recordsEntry } from '../test-kit/requests.js';

let broker: TestBroker;

beforeEach(async () => {
  broker = await TestBroker.start();
});
afterEach(() => broker.stop());

describe('Produce', () => {
  it('appends a batch and answers with its offset', async () => {
    await broker.topic('orders');
    const first = await broker.log.produce(produceRequest([batchEntry('orders', batchOf(['a', 'b']))]));
    expect(first.results).toEqual([
      {
        entry: 0,
        topic: 'orders',
        partition: 0,
        baseOffset: 0,
        logAppendTimeMs: -1,
        logStartOffset: 0,
        error: undefined,
        recordIndexes: [],
      },
    ]);
    const second = await broker.log.produce(produceRequest([recordsEntry('orders', ['c'])], v1.Acks.LEADER));
    expect(second.results[0]).toMatchObject({ baseOffset: 2, error: undefined });
  });
});
