/** The pure parts where a log's own tests do not reach every corner. */
import { SeededRandom } from '@barnabas/common';
import { readBatchHeader } from '@barnabas/protocol';
import * as fc from 'fast-check';
import { decodeKey, encodeKey, keyAt, keyBehindSegmentEnd } from './keys.js';
import { deletedName, directoryName, parseDirectoryName } from './log-directory.js';
import { LeaderEpochs } from './leader-epochs.js';
import { decodeSegmentEnd, encodeSegmentEnd } from './segment-end.js';
import type { SegmentEnd } from './segment-end.js';
import { TailCache } from './tail-cache.js';
import { batchOf, ORDERS, TOPIC_ID, valuesOf } from './test-support.js';
import { searchFrom, TimeIndex } from './time-index.js';

const offset = fc.oneof(fc.nat(1000), fc.maxSafeNat());
const int64 = fc.maxSafeInteger();

describe('keys', () => {
  it('sort by offset, and at one offset the segment end comes first', () => {
    fc.assert(
      fc.property(offset, offset, (a, b) => {
        const [batchA, batchB] = [encodeKey(a, 'batch'), encodeKey(b, 'batchAfterSync')];
        if (a !== b) expect(Buffer.compare(batchA, batchB)).toBe(a < b ? -1 : 1);
        expect(Buffer.compare(keyAt(a), keyBehindSegmentEnd(a))).toBe(-1);
        expect(Buffer.compare(keyBehindSegmentEnd(a), batchA)).toBe(-1);
        expect(decodeKey(batchB)).toEqual({ offset: b, kind: 'batchAfterSync' });
      }),
    );
  });

  it('are refused when this version does not write them', () => {
    expect(decodeKey(Buffer.from('short'))).toBeUndefined();
    expect(decodeKey(Buffer.alloc(9, 0x77))).toBeUndefined();
    expect(() => encodeKey(-1, 'batch')).toThrow('safe integer');
    expect(() => encodeKey(2 ** 53, 'batch')).toThrow('safe integer');
  });
});

describe('segment ends', () => {
  const segment = fc.record({
    baseOffset: int64,
    endOffset: int64,
    sizeInBytes: int64,
    firstTimestamp: int64,
    maxTimestamp: int64,
    maxTimestampBatch: int64,
  });
  const int32 = fc.integer();
  const batch = fc.record({
    baseSequence: int32,
    lastSequence: int32,
    baseOffset: int64,
    lastOffset: int64,
    timestamp: int64,
  });
  const end: fc.Arbitrary<SegmentEnd> = fc.record({
    segments: fc.array(segment),
    timeIndex: fc.array(fc.record({ timestamp: int64, baseOffset: int64 })),
    epochs: fc.array(fc.record({ leaderEpoch: int32, startOffset: int64 })),
    producers: fc.array(
      fc.record({
        producerId: int64,
        producerEpoch: int32,
        lastSeenMs: int64,
        batches: fc.array(batch, { maxLength: 5 }),
      }),
    ),
  });

  it('come back as they were, and not at all when a bit is flipped or bytes are missing', () => {
    fc.assert(
      fc.property(end, fc.nat(), (original, random) => {
        const bytes = encodeSegmentEnd(original);
        expect(decodeSegmentEnd(bytes)).toEqual(original);
        expect(decodeSegmentEnd(bytes.subarray(0, random % bytes.length))).toBeUndefined();
        const at = random % bytes.length;
        bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at);
        expect(decodeSegmentEnd(bytes)).toBeUndefined();
      }),
    );
  });
});

describe('leader epochs', () => {
  it('answer like a scan over all offsets', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ skip: fc.nat(2), records: fc.integer({ min: 1, max: 3 }) })),
        fc.nat(40),
        (runs, start) => {
          const epochs = new LeaderEpochs();
          const epochOf: number[] = [];
          let epoch = 0;
          for (const { skip, records } of runs) {
            epoch += skip;
            epochs.appended(epoch, epochOf.length);
            for (let index = 0; index < records; index++) epochOf.push(epoch);
          }
          const logStart = Math.min(start, epochOf.length);
          epochs.logStartMoved(logStart);
          for (let at = logStart; at < epochOf.length; at++) expect(epochs.epochAt(at)).toBe(epochOf[at]);
          const live = epochOf.slice(logStart);
          for (const asked of new Set(live)) {
            expect(epochs.endOffsetFor(asked, epochOf.length)).toEqual({
              leaderEpoch: asked,
              endOffset: epochOf.lastIndexOf(asked) + 1,
            });
          }
        },
      ),
    );
  });

  it('may begin where an epoch without records began', () => {
    const epochs = new LeaderEpochs([{ leaderEpoch: 1, startOffset: 0 }]);
    epochs.logStartMoved(5);
    epochs.appended(2, 5);
    expect(epochs.starts).toEqual([{ leaderEpoch: 2, startOffset: 5 }]);
    expect(() => epochs.appended(1, 9)).toThrow('never go back');
  });
});

describe('the time index', () => {
  it('never points behind the first record at or after a time', () => {
    const batches = fc.array(fc.record({ timestamp: fc.nat(50), bytes: fc.integer({ min: 1, max: 2_000_000 }) }));
    fc.assert(
      fc.property(batches, fc.nat(55), (all, wanted) => {
        const index = new TimeIndex();
        let position = 0;
        let max = -1;
        all.forEach(({ timestamp, bytes }, baseOffset) => {
          position += bytes;
          if (timestamp > max) index.offer(timestamp, baseOffset, position);
          max = Math.max(max, timestamp);
        });
        const first = all.findIndex(({ timestamp }) => timestamp >= wanted);
        const from = searchFrom(index.entries, wanted, 0);
        if (first !== -1) expect(from).toBeLessThanOrEqual(first);
      }),
    );
  });
});

describe('directory names', () => {
  const topicName = fc.stringMatching(/^[A-Za-z0-9._-]{1,249}$/);
  const id = fc.stringMatching(/^[A-Za-z0-9_-]{16,36}$/);

  it('come back as they were, however the topic is called', () => {
    fc.assert(
      fc.property(topicName, id, fc.nat(0x7fff_ffff), (topic, topicId, partition) => {
        const name = directoryName({ topic, topicId, partition });
        expect(name.length).toBeLessThan(255 - '.deleted'.length);
        const cut = topic.slice(0, 180);
        expect(parseDirectoryName(name)).toEqual({ topic: cut, topicId, partition, isDeleted: false });
        expect(parseDirectoryName(deletedName({ topic, topicId, partition }))).toMatchObject({
          topicId,
          isDeleted: true,
        });
      }),
    );
  });

  it.each(['checkpoints', 'orders-3', 'orders.AAAAAAAAAAAAAAAAAAAAAA', 'a-1.short', '-1.AAAAAAAAAAAAAAAAAAAAAA', ''])(
    'do not take %p for a log',
    (name) => {
      expect(parseDirectoryName(name)).toBeUndefined();
    },
  );

  it.each([
    { ...ORDERS, topic: '../etc' },
    { ...ORDERS, topic: '' },
    { ...ORDERS, topicId: 'a/b' + TOPIC_ID },
    { ...ORDERS, partition: -1 },
    { ...ORDERS, partition: 1.5 },
  ])('are refused for %p', (partition) => {
    expect(() => directoryName(partition)).toThrow(expect.objectContaining({ errorName: 'INVALID_REQUEST' }));
  });
});

describe('the tail cache', () => {
  it('keeps what is not written, drops the oldest first, and counts what it holds', () => {
    const random = new SeededRandom(5);
    for (let run = 0; run < 50; run++) {
      const cache = new TailCache(1000);
      const tails = [cache.newTail(), cache.newTail(), cache.newTail()].map((tail) => ({ tail, end: 0, written: 0 }));
      for (let step = 0; step < 100; step++) {
        const one = tails[random.below(3)];
        if (one === undefined) continue;
        const choice = random.below(10);
        if (choice < 6) {
          const bytes = batchOf([`${'v'.repeat(random.below(100))}`], { baseOffset: one.end });
          one.tail.append({ header: readBatchHeader(bytes), bytes });
          one.end++;
        } else if (choice < 9) {
          one.written += random.below(one.end - one.written + 1);
          one.tail.written(one.written, random.below(4) > 0);
        } else if (one.written === one.end) {
          one.tail.forget();
        }
        let held = 0;
        for (const { tail, end, written } of tails) {
          const start = tail.startOffset ?? end;
          if (written < end) expect(start).toBeLessThanOrEqual(written);
          const all = { offset: start, maxBytes: 1e9, maxOffset: end, minOneBatch: true };
          const found = tail.read(all)?.batches ?? [];
          expect(found).toHaveLength(end - start);
          held += found.reduce((sum, bytes) => sum + bytes.length, 0);
        }
        expect(cache.bytes).toBe(held);
        const unwritten = tails.reduce((sum, { end, written }) => sum + (end - written) * 170, 0);
        expect(cache.bytes).toBeLessThanOrEqual(1000 + unwritten + 170);
      }
    }
  });

  it('serves the same bytes that it was given', () => {
    const tail = new TailCache(1000).newTail();
    const bytes = batchOf(['hello']);
    tail.append({ header: readBatchHeader(bytes), bytes });
    const read = tail.read({ offset: 0, maxBytes: 1e9, maxOffset: 1, minOneBatch: true });
    expect(valuesOf(read?.batches ?? [])).toEqual(['hello']);
  });
});
