// Batches built by packages/protocol, read by Kafka's Java client and compared field by field.
// Needs Java, Maven and a built tree (npm run build). Exits with 1 at the first difference.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { deepStrictEqual } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const protocol = createRequire(import.meta.url)('../../../packages/protocol/dist/index.js');
const vectors = JSON.parse(
  readFileSync(`${here}../../../packages/protocol/src/record-batch/vectors/java-client.vec`, 'utf8'),
);

const LEVELS = {
  none: [undefined],
  gzip: [undefined, 1, 6, 9],
  snappy: [undefined],
  lz4: [undefined],
  zstd: [undefined, 1, 19],
};
const PRODUCERS = [
  { producerId: -1, producerEpoch: -1, baseSequence: -1 },
  { producerId: 123_456_789_012, producerEpoch: 7, baseSequence: 2 ** 31 - 1, isTransactional: true },
];

const batches = [];
for (const vector of vectors.filter((each) => each.records.length > 0 && !each.header.isControl)) {
  const records = protocol.decodeRecords(Buffer.from(vector.batch, 'base64'));
  for (const [compression, levels] of Object.entries(LEVELS)) {
    for (const compressionLevel of levels) {
      for (const producer of PRODUCERS) {
        const level = compressionLevel === undefined ? {} : { compressionLevel };
        const builder = new protocol.BatchBuilder({ compression, maxBytes: 1 << 20, ...level });
        for (const record of records) builder.tryAppend(record);
        batches.push(builder.build({ ...producer, baseOffset: 1000, partitionLeaderEpoch: 3 }));
      }
    }
  }
}
for (const outcome of ['commit', 'abort']) {
  batches.push(
    protocol.buildTransactionMarker({ outcome, coordinatorEpoch: 9, producerId: 5, producerEpoch: 1, timestamp: 1 }),
  );
}
const stamped = Buffer.from(batches[0]);
protocol.setLogAppendTime(stamped, 0, 1_700_000_009_999);
batches.push(stamped);

const java = spawnSync('mvn', ['-q', '-B', 'compile', 'exec:java', '-Dexec.mainClass=barnabas.ReadBatches'], {
  cwd: here,
  input: batches.map((batch) => `${batch.toString('base64')}\n`).join(''),
  encoding: 'utf8',
  maxBuffer: 1 << 30,
  stdio: ['pipe', 'pipe', 'inherit'],
});
if (java.status !== 0) throw new Error(`Java ended with ${java.status}: ${java.stdout.slice(0, 2000)}`);
// Maven may put colour codes in front of the first line.
const answers = java.stdout.split('\n').flatMap((line) => /\{.*\}$/.exec(line)?.[0] ?? []);
deepStrictEqual(answers.length, batches.length, 'Java reads every batch');
for (const [index, batch] of batches.entries())
  deepStrictEqual(JSON.parse(answers[index]), asJava(batch), `batch ${index}`);
console.log(`Java read ${batches.length} batches as they were built`);

/** A batch in the words of BatchJson.java. */
function asJava(batch) {
  const { baseTimestamp: _notShown, ...header } = protocol.readBatchHeader(batch);
  const records = protocol.decodeRecords(batch).map((record) => ({
    offset: record.offset,
    timestamp: record.timestamp,
    key: base64(record.key),
    ...value(record.value),
    headers: record.headers.map((each) => ({ key: each.key, value: base64(each.value) })),
    ...(header.isControl ? { control: protocol.readControlRecord(record) } : {}),
  }));
  return { header, records };
}

function value(bytes) {
  if (bytes === null || bytes.length <= 1000) return { value: base64(bytes) };
  return { valueSha256: createHash('sha256').update(bytes).digest('hex') };
}

function base64(bytes) {
  return bytes === null ? null : Buffer.from(bytes).toString('base64');
}
