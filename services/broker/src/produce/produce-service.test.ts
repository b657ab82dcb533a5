import type { v1 } from '@barnabas/protocol';
import { systemClock } from '@barnabas/common/node';
import { CountedMetrics } from '../test-kit/counted-metrics.js';
import { batchEntry, batchOf, produceRequest, recordsEntry } from '../test-kit/requests.js';
import { BrokerMetrics } from '../runtime/metrics.js';
import { ProduceService } from './produce-service.js';
import type { ProduceServiceOptions } from './produce-service.js';

/** What the service tells the driver of each entry's buffer. */
function handedOver(request: v1.ProduceRequest, isOurs: boolean): boolean[] {
  const seen: boolean[] = [];
  const options = {
    driver: { produce: (_: unknown, input: { handedOver: boolean }) => seen.push(input.handedOver) },
    check: {
      check: ({ payload }: v1.ProduceEntry) => ({
        partition: { topic: 'orders', partition: 0 },
        batches: Buffer.alloc(1),
        made: payload?.$case === 'records',
      }),
    },
    clock: systemClock,
    metrics: new BrokerMetrics(new CountedMetrics()),
    maxRequestBytes: 1e6,
  };
  const service = new ProduceService(options as unknown as ProduceServiceOptions);
  service.submit(request, isOurs, { take() {}, give() {} }, () => {});
  return seen;
}

/** Batches as they are received: views of one message with `around` bytes of something else. */
function received(batches: readonly Buffer[], around: number): v1.ProduceEntry[] {
  const message = Buffer.from(new ArrayBuffer(around + batches.reduce((sum, { length }) => sum + length, 0)));
  let at = around;
  return batches.map((batch) => {
    batch.copy(message, at);
    at += batch.length;
    return batchEntry('orders', message.subarray(at - batch.length, at));
  });
}

describe('the buffer of a produce entry is kept by the log', () => {
  const batches = ['a', 'b'].map((letter) => batchOf([letter.repeat(1000)]));

  it('when it came over the network and is mostly batches', () => {
    expect(handedOver(produceRequest(received(batches, 100)), true)).toEqual([true, true]);
  });

  it("not when it is somebody else's", () => {
    expect(handedOver(produceRequest(received(batches, 100)), false)).toEqual([false, false]);
  });

  it('not when it would keep much else in memory', () => {
    expect(handedOver(produceRequest(received(batches, 5000)), true)).toEqual([false, false]);
  });

  it('when the batches were made here, of records', () => {
    expect(handedOver(produceRequest([recordsEntry('orders', ['a'])]), false)).toEqual([true]);
  });
});
