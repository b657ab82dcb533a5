/** `npm run crash` in short: three kills in the middle of a produce with acks=all lose nothing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { check } from '../crash/checker';
import { readAll, Workload } from '../crash/workload';
import { Server } from '../support/server';

const KILLS = 3;
const SET = { 'num.partitions': 2, 'log.segment.bytes': 1024 * 1024 };

let dataDir: string;
let server: Server;
beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'barnabas-kill-'));
});
afterEach(async () => {
  await server?.kill();
  rmSync(dataDir, { recursive: true, force: true });
});

test('every acknowledged record is there after kill -9, in order, once', async () => {
  server = await Server.start({ dataDir, set: SET });
  const options = { bootstrap: server.bootstrap, topic: 'killed', partitions: 2, producers: 2 };
  const workload = new Workload(options);
  workload.start();
  for (let kill = 1; kill <= KILLS; kill++) {
    // In the middle of it: the producers go on while the process dies.
    await workload.progress(300 * kill);
    const { ports } = server;
    const acknowledged = workload.acknowledged.slice();
    await server.kill();
    server = await Server.start({ dataDir, ports, set: SET });
    // What is read is taken first: what was sent by then covers it.
    const found = await readAll(options);
    expect(found.length).toBeGreaterThanOrEqual(acknowledged.length);
    expect(check({ sent: workload.sent, acknowledged, found })).toEqual([]);
  }
  await workload.finish();
  expect(workload.failures).toEqual([]);
  const { sent, acknowledged } = workload;
  expect(acknowledged.length).toBe(sent.length);
  expect(check({ sent, acknowledged, found: await readAll(options) })).toEqual([]);
  expect(await server.stop()).toBe(0);
});
