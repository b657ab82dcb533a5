import { BarnabasError } from '@barnabas/protocol';
import { BarnabasClient } from '../client.js';
import type { ProducerOptions } from '../options/producer-options.js';
import { FakeCluster, runUntil, testEnvironment } from '../testing/index.js';

function setUp(options: ProducerOptions = {}, cluster = new FakeCluster({ topics: { t: 1 } })) {
  const environment = testEnvironment();
  const client = new BarnabasClient({ bootstrap: cluster.bootstrap, connector: cluster.connector, environment });
  const producer = client.producer(options);
  return { cluster, environment, client, producer };
}

test('a record goes to its topic and its promise tells where', async () => {
  const { cluster, environment, client, producer } = setUp();
  const sent = producer.send({ topic: 't', key: 'k', value: 'v', headers: { h: '1' }, timestamp: 5 });
  expect(await runUntil(environment, sent)).toEqual({ topic: 't', partition: 0, offset: 0, timestamp: 5 });
  const [record] = cluster.records('t');
  expect(record?.key?.toString()).toBe('k');
  expect(record?.value?.toString()).toBe('v');
  expect(record?.headers[0]?.value?.toString()).toBe('1');
  await runUntil(environment, client.close());
  cluster.close();
});
