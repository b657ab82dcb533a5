/**
 * Clients that ask for everything and then do not read: a real node holds a bounded part of it for
 * each, and serves everybody else.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BarnabasClient } from '@barnabas/client';
import { v1 } from '@barnabas/protocol';
import { readAll } from '../support/nodes';
import { Server } from '../support/server';
import { framed, Wire } from '../support/wire';

const MiB = 1024 * 1024;
const TOTAL = 50 * MiB;
const VALUE = 256 * 1024;
const READERS = 4;

let dataDir: string;
let server: Server;
beforeAll(async () => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'barnabas-slow-'));
  server = await Server.start({ dataDir });
});
afterAll(async () => {
  await server?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

const onLinux = existsSync('/proc/self/status') ? test : test.skip;

function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

onLinux('readers that never read cost a bounded amount of memory, and nobody waits for them', async () => {
  const client = new BarnabasClient({ bootstrap: server.bootstrap });
  await client.admin().createTopics([{ name: 'heavy', partitions: 1 }]);
  const producer = client.producer({ batchSize: MiB - 1024 });
  const value = Buffer.alloc(VALUE, 'heavy');
  await Promise.all(Array.from({ length: TOTAL / VALUE }, () => producer.send({ topic: 'heavy', value })));
  // Once through, so that what any reader costs is there already.
  expect(await readAll(client, 'heavy', 1)).toHaveLength(TOTAL / VALUE);
  const before = residentBytes(server.pid);

  const say = (request: v1.FetchRequest['request']) => framed(v1.FetchRequest.encode({ request }).finish());
  const subscribe = v1.FetchSubscribe.create({ subscriptionId: 1, topic: 'heavy' });
  const fetch = Buffer.concat([
    say({ $case: 'subscribe', subscribe }),
    say({ $case: 'credit', credit: { bytes: 0xffff_ffff } }),
  ]);
  const all = v1.ConsumeRequest.create({
    topic: 'heavy',
    start: { position: { $case: 'earliest', earliest: true } },
  });
  const wires: Wire[] = [];
  for (let reader = 0; reader < READERS; reader++) {
    for (const address of [server.bootstrap, `127.0.0.1:${server.ports.broker}`]) {
      const wire = new Wire(address);
      wires.push(wire);
      const fetching = wire.open('barnabas.v1.LogService/Fetch');
      fetching.write(fetch);
      const consuming = wire.open('barnabas.v1.LogService/Consume');
      consuming.end(framed(v1.ConsumeRequest.encode(all).finish()));
      // Headers come with the first message; nothing of the body is ever read.
      await Promise.all([once(fetching, 'response'), once(consuming, 'response')]);
    }
  }
  // Whoever reads is served to the end meanwhile, and the others have had all the time to pile up.
  for (let round = 0; round < 2; round++) {
    expect(await readAll(client, 'heavy', 1)).toHaveLength(TOTAL / VALUE);
  }
  const streams = 2 * wires.length;
  const grown = residentBytes(server.pid) - before;
  // Unbounded, each stream would hold all 50 MiB.
  expect(grown / streams).toBeLessThan(8 * MiB);
  await Promise.all(wires.map((wire) => wire.destroy()));
  expect((await client.producer().send({ topic: 'heavy', value: 'after' })).offset).toBe(TOTAL / VALUE);
  await client.close();
});
