import { BarnabasError } from '@barnabas/protocol';
import { resolveClientOptions } from './client-options.js';
import { resolveConsumerOptions } from './consumer-options.js';
import { PRODUCER_OPTIONS, resolveProducerOptions } from './producer-options.js';

function refusal(run: () => unknown): BarnabasError {
  try {
    run();
  } catch (error) {
    if (error instanceof BarnabasError) return error;
  }
  throw new Error('nothing was refused');
}

test('a producer has the defaults of Kafka', () => {
  expect(resolveProducerOptions({})).toMatchObject({
    acks: 'all',
    lingerMs: 5,
    batchSize: 16_384,
    bufferMemory: 33_554_432,
    maxBlockMs: 60_000,
    maxRequestSize: 1_048_576,
    compressionType: 'none',
    deliveryTimeoutMs: 120_000,
    requestTimeoutMs: 30_000,
    retries: 2_147_483_647,
    maxInFlight: 5,
    enableIdempotence: true,
  });
});

test('a consumer has the defaults of Kafka', () => {
  expect(resolveConsumerOptions({})).toMatchObject({
    isolationLevel: 'read_uncommitted',
    autoOffsetReset: 'latest',
    fetchMaxBytes: 52_428_800,
    maxPartitionFetchBytes: 1_048_576,
    fetchMinBytes: 1,
    fetchMaxWaitMs: 500,
    checkCrcs: true,
  });
});

test('an unknown option is refused with the nearest known one', () => {
  const nearest = (name: string): unknown => refusal(() => resolveProducerOptions({ [name]: 1 })).facts?.['nearest'];
  expect(nearest('lingerMS')).toBe('lingerMs');
  expect(nearest('bachSize')).toBe('batchSize');
  expect(nearest('linger.ms')).toBe('lingerMs');
  expect(nearest('maxInFlightRequestsPerConnection')).toBe('maxInFlight');
  expect(refusal(() => resolveProducerOptions({ lingerMS: 1 } as never)).message).toBe(
    'unknown producer option lingerMS: the nearest known one is lingerMs',
  );
});

test.each([
  [{ acks: 2 }, 'acks must be one of all, 1, 0, not 2'],
  [{ acks: '1' }, 'acks must be one of all, 1, 0, not 1'],
  [{ lingerMs: -1 }, 'lingerMs must be a whole number from 0'],
  [{ lingerMs: '5' }, 'lingerMs must be a whole number from 0'],
  [{ compressionType: 'brotli' }, 'compressionType must be one of none, gzip, snappy, lz4, zstd, not brotli'],
  [{ partitioner: 'sticky' }, 'partitioner must be a partitioner, not sticky'],
  [{ deliveryTimeoutMs: 100 }, 'deliveryTimeoutMs must be at least lingerMs + requestTimeoutMs (30005), not 100'],
  [{ bufferMemory: 100 }, 'batchSize must be at most bufferMemory (100), not 16384'],
  [{ enableIdempotence: true, acks: 1 }, 'acks must be all with enableIdempotence, not 1'],
  [{ enableIdempotence: true, maxInFlight: 6 }, 'maxInFlight must be at most 5 with enableIdempotence, not 6'],
  [{ enableIdempotence: true, retries: 0 }, 'retries must be above 0 with enableIdempotence, not 0'],
  [{ compressionType: 'lz4', compressionLevel: 3 }, 'lz4 has no compression level'],
])('%j is refused', (options, message) => {
  const error = refusal(() => resolveProducerOptions(options as never));
  expect(error.errorName).toBe('INVALID_CONFIG');
  expect(error.message).toContain(message);
});

test('idempotence is on where it can be, and off elsewhere unless it is asked for', () => {
  expect(resolveProducerOptions({ acks: 1 }).enableIdempotence).toBe(false);
  expect(resolveProducerOptions({ maxInFlight: 6 }).enableIdempotence).toBe(false);
  expect(resolveProducerOptions({ enableIdempotence: false }).enableIdempotence).toBe(false);
});

test('a default delivery timeout grows with what it must cover', () => {
  expect(resolveProducerOptions({ requestTimeoutMs: 200_000 }).deliveryTimeoutMs).toBe(200_005);
});

test('every option but our own has its Kafka name', () => {
  const without = Object.entries(PRODUCER_OPTIONS).filter(([, { kafka }]) => kafka === undefined);
  expect(without.map(([name]) => name)).toEqual(['compressionLevel']);
});

test('bootstrap is a list or a text with commas, of addresses', () => {
  const bootstrap = (value: unknown): unknown => resolveClientOptions({ bootstrap: value } as never).bootstrap;
  expect(bootstrap('a:1, b:2')).toEqual(['a:1', 'b:2']);
  expect(bootstrap(['a:1', '[::1]:2'])).toEqual(['a:1', '[::1]:2']);
  expect(bootstrap(undefined)).toEqual(['127.0.0.1:7600']);
  for (const illegal of ['', 'a', 'a:0', 'a:99999', ['a:1', 'b']]) {
    expect(refusal(() => bootstrap(illegal)).errorName).toBe('INVALID_CONFIG');
  }
});

test('what belongs to a connector is not given beside one', () => {
  const error = refusal(() => resolveClientOptions({ connector: {} as never, interceptors: [{} as never] }));
  expect(error.message).toContain('belong to the connector');
});
