/**
 * What clients see of a leader that dies, stops in good order, or is moved: a pause, and no error. Real
 * processes; clients of every kind, straight to the leaders and through a gateway. Needs a build.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BarnabasClient } from '@barnabas/client';
import { SeededRandom } from '@barnabas/common';
import { check } from '../chaos/checker';
import { ChaosCluster } from '../chaos/cluster';
import { DirectWriter, ThinStreamWriter, ThinWriter } from '../chaos/producers';
import { DirectReader, endOffsets, readEverything, ThinReader } from '../chaos/readers';
import { Recorder } from '../chaos/recorder';
import { until } from '../support/nodes';

const TOPIC = 'moving';
const PARTITIONS = 3;
const SET = {
  'broker.session.timeout.ms': 1_500,
  'broker.heartbeat.interval.ms': 200,
  'auto.leader.rebalance.enable': 'false',
};

let dataDir: string;
let cluster: ChaosCluster | undefined;
let client: BarnabasClient | undefined;

beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'barnabas-leaders-'));
});
afterEach(async () => {
  await client?.close(0);
  await cluster?.close();
  rmSync(dataDir, { recursive: true, force: true });
});

test('a leader that dies, stops or is moved costs clients a pause and no error, and nothing else', async () => {
  const ended: string[] = [];
  const nodes = await ChaosCluster.start({
    shape: { controllers: 1, brokers: 3, gateways: 1 },
    dataDir,
    set: SET,
    logLevel: 'warn',
    isDirect: true,
    onUnexpectedExit: (node, how) => ended.push(`${node.name} ${how}`),
  });
  cluster = nodes;
  const { bootstrap } = nodes;
  const admin = (client = new BarnabasClient({ bootstrap })).admin();
  const replicas = [1, 2, 3];
  const assignments = Array.from({ length: PARTITIONS }, () => replicas);
  await admin.createTopics([{ name: TOPIC, assignments, configs: { 'min.insync.replicas': '2' } }]);
  const partitions = async () => (await admin.describeTopics([TOPIC]))[0]?.partitions ?? [];

  const recorder = new Recorder(PARTITIONS);
  const options = (name: string) => ({ name, recorder, bootstrap, topic: TOPIC, recordsPerSecond: 60 });
  const writers = [
    new DirectWriter(options('direct'), true),
    new ThinWriter(options('thin')),
    new ThinStreamWriter(options('thin-stream')),
  ];
  const readers = [new DirectReader(options('reader'), new SeededRandom(1)), new ThinReader(options('thin-reader'))];
  const writing = Promise.all(writers.map((writer) => writer.run()));
  const reading = Promise.all(readers.map((reader) => reader.run()));
  const goesOn = async () => {
    const before = [...recorder.acknowledged];
    await until(() => Promise.resolve(recorder.acknowledged.every((count, at) => count > (before[at] ?? 0) + 10)));
  };
  const inSync = () => until(async () => (await partitions()).every(({ isr }) => isr.length === 3));
  const leader = async () => nodes.broker((await partitions())[0]?.leader ?? -1);

  await goesOn();
  // It dies.
  const first = await leader();
  if (first === undefined) throw new Error('there is a leader');
  await nodes.kill(first);
  await goesOn();
  await nodes.startNode(first);
  await inSync();
  // It stops in good order.
  const second = await leader();
  if (second === undefined) throw new Error('there is a leader');
  expect(second).not.toBe(first);
  await nodes.stop(second);
  await goesOn();
  await nodes.startNode(second);
  await inSync();
  // It is told to hand over.
  await admin.electLeaders('preferred');
  await until(async () => (await partitions()).every(({ leader: now }) => now === replicas[0]));
  await goesOn();

  for (const writer of writers) writer.stop();
  await writing;
  const ends = await endOffsets(bootstrap, TOPIC, PARTITIONS);
  for (const reader of readers) reader.drain(ends);
  await reading;
  await readEverything({ bootstrap, recorder, topic: TOPIC }, ends);
  expect([...recorder.errors]).toEqual([]);
  expect(recorder.problems).toEqual([]);
  expect(ended).toEqual([]);
  expect(recorder.totalAcknowledged).toBe(recorder.sent);
  expect(check(recorder.history).anomalies).toEqual([]);
}, 120_000);
