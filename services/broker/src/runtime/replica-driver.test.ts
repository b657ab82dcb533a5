import { VirtualTime, deferred, noMetrics, present, silentLogger } from '@barnabas/common';
import { DEFAULT_LOG_CONFIG, openLogManager } from '@barnabas/log';
import type { LogManager } from '@barnabas/log';
import { configuredBroker } from '@barnabas/metadata';
import { BatchBuilder } from '@barnabas/protocol';
import { MemoryStoreFactory } from '@barnabas/store';
import { brokerConfig, brokerConfigEntries } from '../config.js';
import type { ProduceOutcome } from '../core/index.js';
import { BrokerMetrics } from './metrics.js';
import { ReplicaDriver } from './replica-driver.js';
import type { ReplicaPartition } from './replica-driver.js';
import type { ReplicationPort } from './replication-port.js';
import { TopicConfigs } from './topic-configs.js';

interface Driven {
  readonly driver: ReplicaDriver;
  readonly partition: ReplicaPartition;
  readonly logs: LogManager;
  readonly factory: MemoryStoreFactory;
  readonly faults: readonly Error[];
}

const assignment = {
  ...{ topic: 'orders', topicId: 'A'.repeat(22), partition: 0, replicas: [1], isr: [1], leader: 1 },
  ...{ leaderEpoch: 0, partitionEpoch: 0, eligibleLeaderReplicas: [], config: { 'min.insync.replicas': 1 } },
};

async function aDriver(): Promise<Driven> {
  const faults: Error[] = [];
  const time = new VirtualTime();
  const environment = { clock: time, timers: time, logger: silentLogger };
  const factory = new MemoryStoreFactory();
  const logs = await openLogManager({
    ...{ ...environment, factory, metrics: noMetrics, directory: 'logs', clusterId: 'a', nodeId: 1 },
  });
  const config = brokerConfig.parse({ 'node.id': 1, 'log.dir': 'logs', 'controller.quorum.voters': '1@a:1' });
  const configs = new TopicConfigs(configuredBroker(1, brokerConfigEntries(config)));
  const driver = new ReplicaDriver({
    ...{ ...environment, nodeId: 1, logs, configs, replicaLagTimeMaxMs: 30_000, metrics: new BrokerMetrics(noMetrics) },
    onFault: (fault) => faults.push(fault),
  });
  driver.assigned([{ kind: 'assign', assignment }]);
  const partition = driver.find('orders', 0);
  if (partition === undefined) throw new Error('the partition was assigned');
  return { driver, partition, logs, factory, faults };
}

function aBatch(): Buffer {
  const builder = new BatchBuilder({ maxBytes: 1000 });
  builder.tryAppend({ key: null, value: Buffer.from('a'), headers: [], timestamp: 1 });
  return builder.build({ producerId: -1, producerEpoch: -1, baseSequence: -1 });
}

const noReplication: ReplicationPort = {
  ...{ attach() {}, detach() {}, ask() {}, acknowledge() {}, reportOffline() {}, propose() {} },
};

/** Resolves with the one answer. */
function produced(driven: Driven, batches: Buffer, handedOver = false): Promise<ProduceOutcome> {
  const { promise, resolve } = deferred<ProduceOutcome>();
  const token = { answer: resolve, appended() {}, written() {} };
  driven.driver.produce(driven.partition, { batches, handedOver, acks: 'leader', deadline: 1000, token });
  return promise;
}

describe('a driver that is stopped', () => {
  // Otherwise a reader that comes meanwhile is told that its offset is out of range of an empty log.
  it('hands out no log, not even one whose opening was under way', async () => {
    const { driver, partition } = await aDriver();
    const opening = driver.openLog(partition);
    const stopping = driver.stop();
    await expect(opening).rejects.toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
    await stopping;
    await expect(driver.openLog(partition)).rejects.toMatchObject({ errorName: 'BROKER_NOT_AVAILABLE' });
  });
});

describe('a log whose batches are of a leader epoch that there never was', () => {
  it('goes offline alone, and the broker goes on', async () => {
    const { driver, partition, logs, faults } = await aDriver();
    const damaged = await logs.openLog(partition, DEFAULT_LOG_CONFIG);
    await damaged.appendAsLeader(aBatch(), { leaderEpoch: 9, now: 1 }).stable;
    await expect(driver.openLog(partition)).rejects.toMatchObject({
      errorName: 'KAFKA_STORAGE_ERROR',
      message: expect.stringContaining('leader epoch 9'),
    });
    expect(partition.log.kind).toBe('offline');
    expect(faults).toEqual([]);
  });
});

describe('a replica that is taken away and comes back', () => {
  it('has nothing to do with appends to the log that went', async () => {
    const driven = await aDriver();
    const { driver, factory } = driven;
    driver.startReplication(noReplication);
    await produced(driven, aBatch());
    const location = factory.locations().find((name) => name.includes('orders')) ?? '';
    const goOn = present(factory.store(location), 'the store of an open log').stallWrites();
    const written = deferred<void>();
    const token = { answer() {}, appended() {}, written: written.resolve };
    const input = { batches: aBatch(), handedOver: false, acks: 'all' as const, deadline: 1000, token };
    driver.produce(driven.partition, input);
    driver.assigned([{ kind: 'unassign', topicId: assignment.topicId, partition: 0, deleted: false }]);
    driver.assigned([{ kind: 'assign', assignment }]);
    const again = present(driver.find('orders', 0), 'the partition that came back');
    const opening = driver.openLog(again);
    await Promise.resolve();
    goOn();
    await written.promise;
    await expect(opening).resolves.toMatchObject({ logEndOffset: 0 });
    expect(again.log.kind).toBe('online');
  });
});

describe('a produce entry', () => {
  // The log writes the base offset into what it keeps.
  it.each([
    [true, 1n],
    [false, 0n],
  ])('is kept by the log as it is only if it was handed over: %s', async (handedOver, baseOffset) => {
    const driven = await aDriver();
    await produced(driven, aBatch());
    const batch = aBatch();
    await expect(produced(driven, batch, handedOver)).resolves.toMatchObject({ kind: 'appended', baseOffset: 1 });
    expect(batch.readBigInt64BE(0)).toBe(baseOffset);
  });
});
