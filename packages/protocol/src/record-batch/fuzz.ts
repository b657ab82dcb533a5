/**
 * Fuzzes everything that reads record batches: valid batches with seeded damage, and noise.
 *
 *   node packages/protocol/dist/record-batch/fuzz.js --inputs 1000000 --seed 1
 *
 * Asserts for every input: only BarnabasErrors of the expected names are thrown; what is decoded
 * keeps the promises of the reader and lies within the input; bytes around the input make no
 * difference (no over-read); no input takes longer than the time bound. Half of the damaged batches
 * get a right CRC again, so that damage reaches the code behind it.
 * A failure prints the input in hex with the seed: the same seed makes the same inputs.
 */
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { assert, SeededRandom } from '@barnabas/common';
import type { Random } from '@barnabas/common';
import { BarnabasError } from '../errors.js';
import type { ErrorName } from '../error-table.js';
import { FUZZ_MAX_DECOMPRESSED_BYTES, makeCorpus, makeInput } from './fuzz-inputs.js';
import { forEachBatch, validateBatch } from './header.js';
import { setLogAppendTime } from './patch.js';
import { decodeRecords, iterateRecords } from './records.js';
import { readControlRecord } from './control.js';
import type { BatchHeader, StoredRecord } from './types.js';

export interface FuzzOptions {
  readonly inputs: number;
  readonly seed: number;
  /** No input may take longer. Generous: it is there to find hangs, not a busy machine. */
  readonly maxMillis?: number;
}

export interface FuzzReport {
  readonly inputs: number;
  /** How many inputs ended how: 'accepted' or the name of the error. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly slowestMillis: number;
}

const POISON_BYTES = 64;

const EXPECTED: ReadonlySet<ErrorName> = new Set([
  'CORRUPT_MESSAGE',
  'INVALID_RECORD',
  'MESSAGE_TOO_LARGE',
  'UNSUPPORTED_COMPRESSION_TYPE',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
]);

/** Runs the fuzzer; throws at the first broken promise. */
export function fuzz(options: FuzzOptions): FuzzReport {
  const { inputs, seed, maxMillis = 5_000 } = options;
  const random = new SeededRandom(seed);
  const corpus = makeCorpus(random);
  const outcomes = new Map<string, number>();
  let slowestMillis = 0;
  for (let index = 0; index < inputs; index++) {
    const input = makeInput(random, corpus);
    const started = performance.now();
    const outcome = check(input, random, () => `input ${index} of seed ${seed}: ${input.toString('hex')}`);
    const millis = performance.now() - started;
    assert(millis <= maxMillis, 'an input took too long', { millis, index, seed, hex: input.toString('hex') });
    slowestMillis = Math.max(slowestMillis, millis);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  return { inputs, outcomes, slowestMillis };
}

/** Reads one input twice, in two surroundings, and compares. */
function check(input: Buffer, random: Random, describe: () => string): string {
  try {
    const first = read(surrounded(input, 0x00));
    const second = read(surrounded(input, 0xff));
    assert(first === second, 'bytes around the input made a difference', { first, second });
    patchIfValid(Buffer.from(input), random);
    return first.startsWith('accepted') ? 'accepted' : (first.split(':', 1)[0] ?? '');
  } catch (error) {
    throw new Error(`${String(error)}\n${describe()}`, { cause: error });
  }
}

/** The input as a view in the middle of poison. */
function surrounded(input: Buffer, poison: number): Buffer {
  const whole = Buffer.alloc(input.length + 2 * POISON_BYTES, poison);
  input.copy(whole, POISON_BYTES);
  return whole.subarray(POISON_BYTES, POISON_BYTES + input.length);
}

/** The outcome of reading, as text: what was accepted, or which error with which words. */
function read(input: Buffer): string {
  try {
    let digest = 'accepted';
    forEachBatch(input, (_header, at) => {
      const header = validateBatch(input, at);
      digest += ` ${readRecords(input, at, header)}`;
    });
    return digest;
  } catch (error) {
    return outcomeOf(error);
  }
}

function outcomeOf(error: unknown): string {
  if (error instanceof BarnabasError && EXPECTED.has(error.errorName)) return `${error.errorName}: ${error.message}`;
  throw error;
}

function readRecords(input: Buffer, at: number, header: BatchHeader): string {
  const options = { maxDecompressedBytes: FUZZ_MAX_DECOMPRESSED_BYTES };
  const records = decodeRecords(input, at, options);
  assert(records.length === header.recordCount, 'as many records as the header says', { count: records.length });
  let previous = header.baseOffset - 1;
  let bytes = 0;
  for (const record of records) {
    assert(record.offset > previous && record.offset <= header.lastOffset, 'offsets grow within the batch');
    assert(Number.isSafeInteger(record.timestamp), 'timestamps are safe integers');
    previous = record.offset;
    bytes += sizeOf(record, header, input);
  }
  const allowed = header.compression === 'none' ? header.sizeInBytes : FUZZ_MAX_DECOMPRESSED_BYTES;
  assert(bytes <= allowed, 'no more bytes than there are', { bytes, allowed });
  const [first] = iterateRecords(input, at, options);
  assert(first?.offset === records[0]?.offset, 'both ways of reading agree');
  return `${records.length}/${bytes}/${header.isControl ? readControls(records) : ''}`;
}

function readControls(records: readonly StoredRecord[]): string {
  try {
    return records.map((record) => readControlRecord(record).kind).join();
  } catch (error) {
    return outcomeOf(error);
  }
}

/** The bytes of a record's parts; each must be a view of the input where nothing was decompressed. */
function sizeOf(record: StoredRecord, header: BatchHeader, input: Buffer): number {
  const parts = [record.key, record.value, ...record.headers.map((each) => each.value)];
  let size = 0;
  for (const part of parts) {
    if (part === null) continue;
    size += part.length;
    if (header.compression !== 'none') continue;
    const start = part.byteOffset - input.byteOffset;
    assert(part.buffer === input.buffer, 'views are of the input');
    assert(start >= 0 && start + part.length <= input.length, 'views lie within the input');
  }
  return size;
}

/** What a leader does to a valid batch leaves it valid. */
function patchIfValid(input: Buffer, random: Random): void {
  try {
    validateBatch(input);
  } catch (error) {
    outcomeOf(error);
    return;
  }
  const timestamp = random.below(2 ** 32);
  setLogAppendTime(input, 0, timestamp);
  assert(validateBatch(input).maxTimestamp === timestamp, 'a batch stays valid under log append time');
}

function main(): void {
  const { values } = parseArgs({ options: { inputs: { type: 'string' }, seed: { type: 'string' } } });
  const inputs = Number(values.inputs ?? 100_000);
  const seed = Number(values.seed ?? 1);
  const started = performance.now();
  const report = fuzz({ inputs, seed });
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(`${inputs} inputs of seed ${seed} in ${seconds.toFixed(1)} s, slowest `);
  process.stdout.write(`${report.slowestMillis.toFixed(1)} ms\n`);
  for (const [outcome, count] of [...report.outcomes].sort((a, b) => b[1] - a[1])) {
    process.stdout.write(`${String(count).padStart(9)} ${outcome}\n`);
  }
}

if (require.main === module) main();
