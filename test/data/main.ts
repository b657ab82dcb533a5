/**
 * `npm run data -- --megabytes N`: real text through a real node, by the shell commands that users
 * have. `barnabas produce` takes it from a pipe, `barnabas consume` gives it back: of one partition
 * the same bytes in the same order, of eight partitions with keys the same lines of each key in the
 * same order. Prints sizes, rates and digests; ends with 1 on any difference, keeping the data.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { program, Server } from '../support/server.js';
import { Corpus, linesOf } from './corpus.js';
import { differences, KEY_SEPARATOR, KeyedDigest, WholeDigest } from './digests.js';
import type { Digest, Digests } from './digests.js';

const MB = 1_000_000;
/** A prime, so that keys meet every kind of line. */
const KEYS = 97;

interface Trial {
  readonly topic: string;
  readonly partitions: number;
  readonly produceFlags: readonly string[];
  readonly consumeFlags: readonly string[];
  readonly input: (corpus: Corpus, bytes: number) => Iterable<Buffer>;
  readonly digest: () => Digest;
}

const TRIALS: readonly Trial[] = [
  {
    topic: 'data-1',
    partitions: 1,
    produceFlags: [],
    consumeFlags: [],
    input: (corpus, bytes) => corpus.chunks(bytes),
    digest: () => new WholeDigest(),
  },
  {
    topic: 'data-8',
    partitions: 8,
    produceFlags: ['--key-separator', KEY_SEPARATOR],
    consumeFlags: ['--format', `%k${KEY_SEPARATOR}%v\\n`],
    input: withKeys,
    digest: () => new KeyedDigest(),
  },
];

/** Puts a key before each line: its number modulo KEYS. */
function* withKeys(corpus: Corpus, bytes: number): Generator<Buffer, void, undefined> {
  let number = 0;
  for (const chunk of corpus.chunks(bytes)) {
    const parts: Buffer[] = [];
    for (const line of linesOf(chunk)) parts.push(Buffer.from(`key-${number++ % KEYS}${KEY_SEPARATOR}`), line);
    yield Buffer.concat(parts);
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { megabytes: { type: 'string', default: '100' } } });
  const bytes = Number(values.megabytes) * MB;
  if (!(bytes > 0)) throw new Error(`--megabytes must be a number above 0, not ${values.megabytes}`);
  const corpus = Corpus.load();
  console.log(`${values.megabytes} MB of text from ${corpus.files} files of installed packages`);

  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'barnabas-data-'));
  const server = await Server.start({ dataDir });
  let failures = 0;
  try {
    for (const trial of TRIALS) failures += await run(trial, corpus, bytes, server.bootstrap);
  } finally {
    const code = await server.stop();
    if (code !== 0) {
      console.log(`the node ended with ${code}`);
      failures += 1;
    }
  }
  if (failures > 0) {
    console.log(`FAILED; the data are in ${dataDir}`);
    return 1;
  }
  fs.rmSync(dataDir, { recursive: true, force: true });
  return 0;
}

/** The number of differences. */
async function run(trial: Trial, corpus: Corpus, bytes: number, bootstrap: string): Promise<number> {
  const { topic, partitions } = trial;
  const at = ['--bootstrap', bootstrap];
  await barnabas(['topics', 'create', topic, '--partitions', `${partitions}`, ...at], [], () => {});

  const sent = trial.digest();
  const produceMs = await timed(() =>
    barnabas(['produce', topic, ...trial.produceFlags, ...at], noted(trial.input(corpus, bytes), sent), () => {}),
  );
  const received = trial.digest();
  const consume = ['consume', topic, '--from-beginning', '--exit-at-end', ...trial.consumeFlags, ...at];
  const consumeMs = await timed(() => barnabas(consume, [], (chunk) => received.add(chunk)));

  const rate = (digest: Digest, ms: number) => `${(digest.bytes / MB / (ms / 1000)).toFixed(1)} MB/s`;
  console.log(`${topic}: ${partitions} partition${partitions === 1 ? '' : 's'}`);
  console.log(`  produced ${sent.bytes} bytes, ${rate(sent, produceMs)}, process start included`);
  console.log(`  consumed ${received.bytes} bytes, ${rate(received, consumeMs)}, process start included`);
  const digests = received.finish();
  const found = differences(sent.finish(), digests);
  if (sent.bytes !== received.bytes) found.unshift(`${sent.bytes} bytes sent, ${received.bytes} received`);
  for (const line of found.slice(0, 10)) console.log(`  DIFFERENT ${line}`);
  if (found.length === 0) console.log(`  same: ${summary(digests)}`);
  return found.length;
}

function* noted(chunks: Iterable<Buffer>, digest: Digest): Generator<Buffer, void, undefined> {
  for (const chunk of chunks) {
    digest.add(chunk);
    yield chunk;
  }
}

/** One digest as it is; of many, their number and the digest of all. */
function summary(digests: Digests): string {
  const [first] = digests;
  if (first !== undefined && digests.length === 1) return `${first[0]}, SHA-256 ${first[1]}`;
  const all = createHash('sha256').update(digests.flat().join('\n')).digest('hex');
  return `the lines of ${digests.length} keys, SHA-256 of their digests ${all}`;
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** Runs the command as a child with this standard input; fails unless it ends with 0. */
async function barnabas(
  args: readonly string[],
  input: Iterable<Buffer>,
  onOutput: (chunk: Buffer) => void,
): Promise<void> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdout.on('data', onOutput);
  const closed = once(child, 'close');
  // A child that ends early breaks the pipe; its exit code says more than that.
  const written = pipeline(Readable.from(input, { objectMode: false }), child.stdin).catch(() => {});
  const [code, signal] = (await closed) as [number | null, string | null];
  await written;
  if (code !== 0) throw new Error(`barnabas ${args.join(' ')} ended with ${signal ?? code}`);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  },
);
