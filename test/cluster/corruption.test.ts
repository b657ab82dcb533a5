/** Bytes that rot on the disk: found, named, never served; everything beside them is. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { RoleName, RunningNode } from '@barnabas/cli/node';
import { v1 } from '@barnabas/protocol';
import { addressOf, Nodes, readAll } from '../support/nodes';
import { flip } from '../support/rot';
import { program } from '../support/server';
import { framed, Wire } from '../support/wire';

const SPECIMEN = 'the record that rots';

let nodes: Nodes;
beforeEach(() => {
  nodes = new Nodes();
});
afterEach(() => nodes.close());

function barnabas(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [program, ...args], (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

/** What a thin client is given of the partition, its first record or an error. */
async function consume(node: RunningNode, role: RoleName, partition: number) {
  const wire = new Wire(addressOf(node, role));
  const request = v1.ConsumeRequest.create({
    topic: 'rot',
    partitions: [partition],
    start: { position: { $case: 'offset', offset: 0 } },
    maxRecords: 1,
  });
  const { error, text, messages } = await wire.call(
    'barnabas.v1.LogService/Consume',
    framed(v1.ConsumeRequest.encode(request).finish()),
  );
  await wire.destroy();
  const records = messages.flatMap((message) => v1.ConsumeResponse.decode(message).records);
  return { error, text, values: records.map(({ value }) => Buffer.from(value ?? []).toString()) };
}

/** Where the rotten record stands among ten. */
test.each([
  ['the last batch', 9],
  ['a batch in the middle', 4],
])('%s', async (_, at) => {
  const first = await nodes.start({ name: 'node' });
  const client = nodes.client(first);
  await client.admin().createTopics([{ name: 'rot', partitions: 2 }]);
  const producer = client.producer({ lingerMs: 0 });
  for (let n = 0; n < 10; n++) {
    const value = n === at ? SPECIMEN : `sound ${n}`;
    // One by one: a batch each.
    expect((await producer.send({ topic: 'rot', partition: 0, value })).offset).toBe(n);
  }
  await producer.send({ topic: 'rot', partition: 1, value: 'beside' });
  await client.close();
  await nodes.stop('node');

  const logs = path.join(nodes.directory('node'), 'broker');
  const location = path.join(logs, readdirSync(logs).find((name) => name.startsWith('rot-0.')) ?? 'missing');
  await flip(location, SPECIMEN);

  const dumped = await barnabas('log', 'dump', location);
  expect(dumped.out).toMatch(new RegExp(`^CORRUPT at ${at}: `, 'm'));
  expect(dumped.err).toMatch(/1 corrupt, \d gaps.*\[CORRUPT_MESSAGE\]/);
  expect(dumped.code).toBe(1);

  const second = await nodes.start({ name: 'node' });
  for (const role of ['broker', 'gateway'] as const) {
    const { error, text, values } = await consume(second, role, 0);
    expect(error).toBe('KAFKA_STORAGE_ERROR');
    expect(text).toContain(`rot-0 is corrupt at offset ${at}:`);
    expect(values).toEqual([]);
    expect((await consume(second, role, 1)).values).toEqual(['beside']);
  }
  const reader = nodes.client(second);
  const consumer = reader.consumer();
  await consumer.assign([{ topic: 'rot', partition: 0, position: { offset: 0 } }]);
  await expect(consumer[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    errorName: 'KAFKA_STORAGE_ERROR',
    message: expect.stringContaining(`rot-0 is corrupt at offset ${at}:`) as string,
  });
  await consumer.close();

  expect((await reader.producer().send({ topic: 'rot', partition: 1, value: 'more' })).offset).toBe(1);
  await reader.admin().createTopics([{ name: 'new', partitions: 1 }]);
  await reader.producer().send({ topic: 'new', value: 'new' });
  expect((await readAll(reader, 'new', 1)).map(({ value }) => value)).toEqual(['new']);
});
