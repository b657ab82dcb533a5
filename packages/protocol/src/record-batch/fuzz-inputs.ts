/**
 * The inputs of the fuzzer: a corpus of valid batches of every kind, and ways to damage them.
 * Everything comes from the Random, so a seed names its inputs.
 */
import type { Random } from '@barnabas/common';
import { COMPRESSION_TYPES, compress } from '../compression/index.js';
import { BatchBuilder } from './builder.js';
import { buildTransactionMarker } from './control.js';
import { computeCrc } from './header.js';
import * as layout from './layout.js';
import type { Record } from './types.js';

/** A valid batch, and its records before compression, so that damage can be done below it. */
interface Seed {
  readonly batch: Buffer;
  readonly records: Buffer;
}

type Mutation = (bytes: Buffer, random: Random) => Buffer;

const NOW = 1_700_000_000_000;
/** The cap the fuzzer reads with: far above every batch of the corpus but the bombs. */
export const FUZZ_MAX_DECOMPRESSED_BYTES = 32 * 1024;
const BATCHES_OF_EACH_TYPE = 8;
const INTERESTING_BYTES = [0x00, 0x01, 0x02, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff];
const INTERESTING_INTS = [0, 1, -1, -2, 2, 7, 48, 49, 61, 127, 128, 255, 65_535, 2 ** 31 - 1, -(2 ** 31)];
const INT32_FIELDS = [
  layout.BATCH_LENGTH_AT,
  layout.PARTITION_LEADER_EPOCH_AT,
  layout.LAST_OFFSET_DELTA_AT,
  layout.BASE_TIMESTAMP_AT,
  layout.PRODUCER_ID_AT,
  layout.BASE_SEQUENCE_AT,
  layout.RECORD_COUNT_AT,
];

/** Valid batches: each compression type, sizes from one record to many, a bomb of each, markers. */
export function makeCorpus(random: Random): Seed[] {
  const corpus: Seed[] = [];
  for (const compression of COMPRESSION_TYPES) {
    for (let index = 0; index < BATCHES_OF_EACH_TYPE; index++) {
      const records = makeRecords(random, 1 + random.below(1 << random.below(6)));
      const plain = build(records, 'none');
      corpus.push({ batch: build(records, compression), records: plain.subarray(layout.RECORDS_AT) });
    }
  }
  for (const compression of COMPRESSION_TYPES) {
    const bomb = { key: null, value: Buffer.alloc(4 * FUZZ_MAX_DECOMPRESSED_BYTES), headers: [], timestamp: NOW };
    const records = build([bomb], 'none').subarray(layout.RECORDS_AT);
    if (compression !== 'none') corpus.push({ batch: build([bomb], compression), records });
  }
  for (const outcome of ['commit', 'abort'] as const) {
    const batch = buildTransactionMarker({
      outcome,
      coordinatorEpoch: 1,
      producerId: 2,
      producerEpoch: 3,
      timestamp: NOW,
    });
    corpus.push({ batch, records: batch.subarray(layout.RECORDS_AT) });
  }
  return corpus;
}

/** One input: noise now and then, else one or two batches of the corpus with some damage. */
export function makeInput(random: Random, corpus: readonly Seed[]): Buffer {
  if (random.below(20) === 0) return noise(random, random.below(300));
  let input =
    random.below(4) === 0 ? damagedBelow(random, pick(random, corpus)) : damaged(random, pick(random, corpus).batch);
  if (random.below(8) === 0) input = Buffer.concat([pick(random, corpus).batch, input]);
  return input;
}

/** Damage to the batch as it is sent. */
function damaged(random: Random, batch: Buffer): Buffer {
  const mutated = mutate(batch, random);
  return random.below(2) === 0 ? mutated : repaired(mutated, random.below(4) !== 0);
}

/** Damage to the records below the compression, in a batch that is otherwise right. */
function damagedBelow(random: Random, seed: Seed): Buffer {
  const type = COMPRESSION_TYPES[seed.batch.readUInt16BE(layout.ATTRIBUTES_AT) & layout.COMPRESSION_MASK] ?? 'none';
  const records = compress(type, mutate(seed.records, random));
  return repaired(Buffer.concat([seed.batch.subarray(0, layout.RECORDS_AT), records]), true);
}

/** Makes the CRC right again, and the length too. */
function repaired(batch: Buffer, repairLength: boolean): Buffer {
  if (batch.length < layout.RECORDS_AT) return batch;
  const copy = Buffer.from(batch);
  if (repairLength) copy.writeInt32BE(copy.length - layout.LENGTH_OVERHEAD_BYTES, layout.BATCH_LENGTH_AT);
  copy.writeUInt32BE(computeCrc(copy, 0, copy.length), layout.CRC_AT);
  return copy;
}

function mutate(bytes: Buffer, random: Random): Buffer {
  let mutated: Buffer = Buffer.from(bytes);
  for (let count = 1 + random.below(3); count > 0 && mutated.length > 0; count--) {
    mutated = pick(random, MUTATIONS)(mutated, random);
  }
  return mutated;
}

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, random) {
    const at = random.below(bytes.length);
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at);
    return bytes;
  },
  function writeByte(bytes, random) {
    bytes.writeUInt8(pick(random, INTERESTING_BYTES), random.below(bytes.length));
    return bytes;
  },
  function writeField(bytes, random) {
    const at = pick(random, INT32_FIELDS);
    if (at + 4 <= bytes.length) bytes.writeInt32BE(pick(random, INTERESTING_INTS), at);
    return bytes;
  },
  function writeAttributes(bytes, random) {
    if (bytes.length >= layout.LAST_OFFSET_DELTA_AT) bytes.writeUInt16BE(random.below(0x90), layout.ATTRIBUTES_AT);
    return bytes;
  },
  function writeLongVarint(bytes, random) {
    const length = 1 + random.below(10);
    return spliced(bytes, random.below(bytes.length), length, Buffer.alloc(length, 0xff));
  },
  function cut(bytes, random) {
    return bytes.subarray(0, random.below(bytes.length + 1));
  },
  function append(bytes, random) {
    return Buffer.concat([bytes, noise(random, 1 + random.below(70))]);
  },
  function remove(bytes, random) {
    return spliced(bytes, random.below(bytes.length), 1 + random.below(8), Buffer.alloc(0));
  },
  function insert(bytes, random) {
    return spliced(bytes, random.below(bytes.length), 0, noise(random, 1 + random.below(8)));
  },
  function repeat(bytes, random) {
    const from = random.below(bytes.length);
    return spliced(bytes, random.below(bytes.length), 0, bytes.subarray(from, from + random.below(40)));
  },
];

function spliced(bytes: Buffer, at: number, removed: number, inserted: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
}

function build(records: readonly Record[], compression: (typeof COMPRESSION_TYPES)[number]): Buffer {
  const builder = new BatchBuilder({ compression, maxBytes: 1 << 20 });
  for (const record of records) builder.tryAppend(record);
  return builder.build({ producerId: 1, producerEpoch: 0, baseSequence: 0 });
}

function makeRecords(random: Random, count: number): Record[] {
  return Array.from({ length: count }, (_, index) => ({
    key: random.below(3) === 0 ? null : noise(random, random.below(12)),
    value: random.below(9) === 0 ? null : Buffer.alloc(random.below(60), random.below(256)),
    headers: random.below(4) === 0 ? [{ key: `h${index}`, value: noise(random, random.below(9)) }] : [],
    timestamp: NOW + random.below(5000),
  }));
}

function noise(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.below(items.length)] as T;
}
