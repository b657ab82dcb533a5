/**
 * `npm run crash -- --kills N --seed S`: kills a real node with SIGKILL again and again in the middle
 * of a produce with acks=all, and checks after each restart that every acknowledged record is there,
 * in order, once. Prints a line for each kill; ends with 1 at the first anomaly, keeping the data.
 */
import { SeededRandom } from '@barnabas/common';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Server } from '../support/server.js';
import { check } from './checker.js';
import { readAll, Workload } from './workload.js';

const TOPIC = 'crash';

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '50' },
      seed: { type: 'string', default: '1' },
      partitions: { type: 'string', default: '3' },
    },
  });
  const [kills, seed, partitions] = [Number(values.kills), Number(values.seed), Number(values.partitions)];
  const random = new SeededRandom(seed);
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'barnabas-crash-'));
  console.log(`killing a node ${kills} times, seed ${seed}, data in ${dataDir}`);

  const set = { 'num.partitions': partitions, 'log.segment.bytes': 1024 * 1024 };
  let server = await Server.start({ dataDir, set });
  const options = { bootstrap: server.bootstrap, topic: TOPIC, partitions, producers: 3 };
  const workload = new Workload(options);
  workload.start();

  for (let kill = 1; kill <= kills; kill++) {
    await workload.progress(200 + random.below(3000));
    // Any moment will do: the disk is busy nearly always.
    await new Promise((resolve) => setTimeout(resolve, random.below(30)));
    const acknowledged = workload.acknowledged.length;
    const { ports } = server;
    await server.kill();
    const started = Date.now();
    server = await Server.start({ dataDir, ports, set });
    const restartMs = Date.now() - started;
    const anomalies = await judge(workload, acknowledged);
    console.log(
      `kill ${kill}: ${acknowledged} acknowledged before, serving again after ${restartMs} ms, ${anomalies} anomalies`,
    );
    if (anomalies > 0) return 1;
  }
  await workload.finish();
  const anomalies = await judge(workload, workload.acknowledged.length);
  for (const failure of workload.failures.slice(0, 5)) console.log(`not delivered: ${failure}`);
  const code = await server.stop();
  console.log(
    `${workload.sent.length} sent, ${workload.acknowledged.length} acknowledged, ${workload.failures.length} failed, ${anomalies} anomalies, exit code of the node ${code}`,
  );
  if (anomalies > 0 || workload.failures.length > 0 || code !== 0) return 1;
  fs.rmSync(dataDir, { recursive: true, force: true });
  return 0;

  /** Judges what was acknowledged before the kill against what the log has now. */
  async function judge(history: Workload, before: number): Promise<number> {
    const acknowledged = history.acknowledged.slice(0, before);
    const found = await readAll(options);
    const anomalies = check({ sent: history.sent, acknowledged, found });
    for (const { kind, detail } of anomalies.slice(0, 10)) console.log(`  ${kind}: ${detail}`);
    return anomalies.length;
  }
}

void main().then((code) => {
  process.exitCode = code;
});
