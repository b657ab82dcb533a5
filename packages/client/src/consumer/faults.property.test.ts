/** Whatever goes wrong between a consumer and its leaders: every record comes once and in order. */
import { SeededRandom } from '@barnabas/common';
import { BatchBuilder } from '@barnabas/protocol';
import fc from 'fast-check';
import { Harness, settle } from '../testing/index.js';

const PARTITIONS = 3;
const BROKERS = 3;
const BATCHES = 25;

async function run(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const harness = new Harness({ seed, brokers: BROKERS, topics: { t: PARTITIONS } });
  const { cluster, environment, client } = harness;
  const fetchMaxBytes = 500 + random.below(3_000);
  const consumer = client.consumer({ fetchMaxBytes, maxPartitionFetchBytes: 300 });
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
  await harness.run(
    consumer.assign(partitions.map((partition) => ({ topic: 't', partition, position: 'earliest' as const }))),
  );
  let isFaulty = true;
  cluster.intercept(({ method }) => {
    if (method !== 'Fetch' || !isFaulty) return undefined;
    switch (random.below(12)) {
      case 0:
        return { kind: 'disconnect' };
      case 1:
        return { kind: 'error', error: random.below(2) === 0 ? 'UNKNOWN_LEADER_EPOCH' : 'KAFKA_STORAGE_ERROR' };
      default:
        return undefined;
    }
  });
  const seen = partitions.map((): number[] => []);
  const expected = partitions.map(() => 0);
  let total = 0;
  const reading = (async () => {
    for await (const { partition, offset } of consumer) {
      seen[partition]?.push(offset);
      if (random.below(15) === 0) {
        consumer.pause([{ topic: 't', partition }]);
        environment.time.after(50, () => consumer.resume([{ topic: 't', partition }]));
      }
      if (!isFaulty && seen.flat().length === total) break;
    }
  })();
  for (let batch = 0; batch < BATCHES; batch++) {
    const partition = random.below(PARTITIONS);
    const count = 1 + random.below(8);
    const builder = new BatchBuilder({ maxBytes: 10_000 });
    for (let index = 0; index < count; index++) {
      builder.tryAppend({ key: null, value: Buffer.alloc(20), headers: [], timestamp: 1 });
    }
    cluster.partition('t', partition).append(builder.build());
    expected[partition] = (expected[partition] ?? 0) + count;
    total += count;
    await settle(random.below(3));
    if (random.below(3) === 0) environment.time.advance(random.below(100));
    if (random.below(6) === 0) cluster.moveLeader('t', random.below(PARTITIONS), 1 + random.below(BROKERS));
    if (random.below(10) === 0) cluster.disconnect(1 + random.below(BROKERS));
    if (random.below(15) === 0) cluster.stopBroker(1 + random.below(BROKERS));
    if (random.below(10) === 0) for (let id = 1; id <= BROKERS; id++) cluster.startBroker(id);
  }
  isFaulty = false;
  for (let id = 1; id <= BROKERS; id++) cluster.startBroker(id);
  // The loop looks whether it is done at each record, so there is one more.
  const builder = new BatchBuilder({ maxBytes: 10_000 });
  builder.tryAppend({ key: null, value: null, headers: [], timestamp: 1 });
  cluster.partition('t', 0).append(builder.build());
  expected[0] = (expected[0] ?? 0) + 1;
  total++;
  await harness.run(reading);
  await harness.close();
  expect(seen).toEqual(expected.map((count) => Array.from({ length: count }, (_, offset) => offset)));
}

test('every record comes once and in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), (seed) => run(seed)),
    { numRuns: 40 },
  );
});
