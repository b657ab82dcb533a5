import { BatchBuilder, patchBatch, v1 } from '@barnabas/protocol';
import { FetchedBatches, headOf } from './fetched-batches.js';
import type { EncodedResponse } from './wire.js';

const NO_LIMITS = { maxRecords: Infinity, maxBytes: Infinity };

function fetched(topic: string, values: readonly string[], from = 5): FetchedBatches {
  const builder = new BatchBuilder({ compression: 'none', maxBytes: 1 << 20, maxBatchBytes: 1 << 20 });
  for (const value of values) {
    builder.tryAppend({ key: Buffer.from('k'), value: Buffer.from(value), headers: [], timestamp: 1_000 });
  }
  const batches = builder.build();
  patchBatch(batches, 0, { baseOffset: 5, partitionLeaderEpoch: 7 });
  const state = { highWatermark: 900, lastStableOffset: 900, logStartOffset: 2, leaderEpoch: 7 };
  const data = { batches, nextOffset: 5 + values.length, ...state, release: () => undefined };
  return new FetchedBatches(headOf({ topic, partition: 300 }), data, from, 900);
}

/** The length that a message states, and the bytes that follow. */
function framed(bytes: Buffer): { readonly stated: number; readonly there: number } {
  let at = 1;
  let stated = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0;
    stated |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return { stated, there: bytes.length - at };
}

test.each([1, 10, 200, 5_000])('%i records are one whole message', (count) => {
  const values = Array.from({ length: count }, (_, index) => `value ${index}`);
  for (const topic of ['t', 'x'.repeat(249)]) {
    const { payload, ...parcel } = fetched(topic, values).take(NO_LIMITS);
    const { bytes } = payload as EncodedResponse;
    const { stated, there } = framed(bytes);
    expect(stated).toBe(there);
    const { response } = v1.SubscribeResponse.decode(bytes);
    if (response?.$case !== 'records') throw new Error('records are expected');
    const { records, ...rest } = response.records;
    expect(rest).toEqual({
      ...{ topic, partition: 300, nextOffset: 5 + count },
      ...{ highWatermark: 900, leaderEpoch: 7, logStartOffset: 2 },
    });
    expect(records.map(({ value }) => value?.toString())).toEqual(values);
    expect(parcel).toEqual({ records: count, bytes: parcel.bytes, nextOffset: 5 + count, leaderEpoch: 7 });
  }
});

test('a message without records moves the position', () => {
  const records = fetched('t', ['a'], 6);
  const { payload, records: count } = records.take(NO_LIMITS);
  expect(count).toBe(0);
  const { response } = v1.SubscribeResponse.decode((payload as EncodedResponse).bytes);
  expect(response).toMatchObject({ $case: 'records', records: { records: [], nextOffset: 6 } });
  expect(framed((payload as EncodedResponse).bytes)).toMatchObject({ stated: expect.any(Number) as number });
});
