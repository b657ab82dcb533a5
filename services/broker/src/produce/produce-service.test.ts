import { VirtualTime } from '@barnabas/common';
import type { v1 } from '@barnabas/protocol';
import { systemClock } from '@barnabas/common/node';
import { CountedMetrics } from '../test-kit/counted-metrics.js';
import { batchEntry, batchOf, produceRequest, recordsEntry } from '../test-kit/requests.js';
import type { ProduceOutcome } from '../core/index.js';
import { BrokerMetrics } from '../runtime/metrics.js';
import type { ProduceToken } from '../runtime/replica-driver.js';
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
    timers: new VirtualTime(),
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

describe('the answer to a request', () => {
  const time = new VirtualTime();
  let tokens: ProduceToken[];
  let answers: string[];

  /** Four entries; `results` names what came as early and as last answers, by entry. */
  function submit(isEarly: boolean): void {
    tokens = [];
    answers = [];
    const options = {
      driver: { produce: (_: unknown, { token }: { token: ProduceToken }) => tokens.push(token) },
      check: { check: () => ({ partition: { topic: 'orders', partition: 0 }, batches: Buffer.alloc(1), made: true }) },
      clock: time,
      timers: time,
      metrics: new BrokerMetrics(new CountedMetrics()),
      maxRequestBytes: 1e6,
    };
    const note = (kind: string) => (response: v1.ProduceResponse) => {
      answers.push(`${kind} ${response.results.map(({ entry }) => entry).join(',')}`);
    };
    const entries = [0, 1, 2, 3].map(() => recordsEntry('orders', ['a']));
    const budget = { take() {}, give() {} };
    const service = new ProduceService(options as unknown as ProduceServiceOptions);
    service.submit(produceRequest(entries), false, budget, note('last'), isEarly ? note('early') : undefined);
  }

  const APPENDED: ProduceOutcome = { kind: 'appended', baseOffset: 1, logAppendTimeMs: -1, logStartOffset: 0 };
  const done = (...entries: number[]) => entries.forEach((entry) => tokens[entry]?.answer(APPENDED));
  it('is one, in the order of the entries, when all are done before long', () => {
    submit(true);
    done(2, 0);
    time.advance(19);
    done(3, 1);
    time.advance(1_000);
    expect(answers).toEqual(['last 0,1,2,3']);
  });

  it('comes in parts when some take long: what was done early, and what is done in a turn later on', () => {
    submit(true);
    done(3);
    time.advance(19);
    expect(answers).toEqual([]);
    time.advance(1);
    expect(answers).toEqual(['early 3']);
    done(2, 0);
    time.advance(0);
    expect(answers).toEqual(['early 3', 'early 0,2']);
    done(1);
    time.advance(1_000);
    expect(answers).toEqual(['early 3', 'early 0,2', 'last 1']);
  });

  it('is one, however long it takes, for a client that does not take parts', () => {
    submit(false);
    done(0, 1, 2);
    time.advance(1_000);
    expect(answers).toEqual([]);
    done(3);
    expect(answers).toEqual(['last 0,1,2,3']);
  });
});
