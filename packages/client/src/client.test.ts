import { serve, service } from '@barnabas/rpc';
import type { RunningServer } from '@barnabas/rpc';
import { silentLogger } from '@barnabas/common';
import { v1 } from '@barnabas/protocol';
import { BarnabasClient } from './client.js';
import { Harness, settle } from './testing/index.js';

test('close closes producers and consumers, once, and nothing begins after it', async () => {
  const harness = new Harness({ topics: { t: 1 } });
  const { client, cluster } = harness;
  const producer = client.producer({ lingerMs: 60_000 });
  const consumer = client.consumer();
  await harness.run(consumer.assign([{ topic: 't', partition: 0 }]));
  const next = consumer[Symbol.asyncIterator]().next();
  const sent = producer.send({ topic: 't', value: 'v' });
  await settle();
  const closing = client.close();
  expect(client.close()).toBe(closing);
  await harness.run(closing);
  expect((await sent).offset).toBe(0);
  expect(await next).toEqual({ done: true, value: undefined });
  expect(() => client.consumer()).toThrow('closed');
  expect(() => client.admin()).toThrow('closed');
  cluster.close();
});

test('producers and consumers that were closed are forgotten', async () => {
  const harness = new Harness({ topics: { t: 1 } });
  const producer = harness.client.producer();
  await harness.run(producer.send({ topic: 't', value: 'v' }));
  await harness.run(producer.close());
  await harness.client.consumer().close();
  await harness.run(harness.client.producer().send({ topic: 't', value: 'w' }));
  expect(harness.cluster.records('t')).toHaveLength(2);
  await harness.close();
});

test('several gateways that are gone are not asked without a pause', async () => {
  const harness = new Harness({ topics: { t: 1 }, brokers: 2, client: { route: 'bootstrap' } });
  const producer = harness.client.producer({ lingerMs: 0 });
  // Brokers stand for gateways here: nobody else can be reached through a route of bootstrap addresses.
  await harness.run(producer.send({ topic: 't', value: 'v' }));
  let streams = 0;
  harness.cluster.intercept(({ method }) => {
    if (method !== 'ProduceStream') return undefined;
    streams++;
    return { kind: 'disconnect' };
  });
  const sent = producer.send({ topic: 't', value: 'w' }).catch(() => undefined);
  for (let round = 0; round < 50; round++) {
    await settle(3);
    harness.environment.time.advance(20);
  }
  expect(streams).toBeGreaterThan(1);
  expect(streams).toBeLessThan(8);
  await harness.close();
  await sent;
});

describe('over the network', () => {
  let server: RunningServer;
  let seen: Readonly<Record<string, string | undefined>> | undefined;

  beforeEach(async () => {
    const metadata = service(v1.MetadataServiceDefinition, {
      getMetadata: () => Promise.resolve(v1.GetMetadataResponse.create({ clusterId: 'c' })),
      watchMetadata: (_, stream) => stream.handle({ onMessage: () => undefined, onClose: () => undefined }),
      describeCluster: (_, context) => {
        seen = { clientId: context.clientId, authorization: context.headers.get('authorization') };
        return Promise.resolve(v1.DescribeClusterResponse.create({ clusterId: 'c', controllerId: 3 }));
      },
    });
    server = await serve({ listen: { host: '127.0.0.1', port: 0 }, services: [metadata], logger: silentLogger });
  });

  afterEach(() => server.stop(0));

  test('a client with nothing but an address says who it is and what its interceptors add', async () => {
    const client = new BarnabasClient({
      bootstrap: `127.0.0.1:${server.port}`,
      clientId: 'shop',
      interceptors: [{ headers: () => ({ authorization: 'token' }) }],
    });
    expect((await client.admin().describeCluster()).controllerId).toBe(3);
    expect(seen).toEqual({ clientId: 'shop', authorization: 'token' });
    await client.close();
  });
});
