import { VirtualTime, noMetrics, silentLogger } from '@barnabas/common';
import { openLogManager } from '@barnabas/log';
import { configuredBroker } from '@barnabas/metadata';
import { MemoryStoreFactory } from '@barnabas/store';
import { brokerConfig, brokerConfigEntries } from '../config.js';
import { BrokerMetrics } from './metrics.js';
import { ReplicaDriver } from './replica-driver.js';
import type { ReplicaPartition } from './replica-driver.js';
import { TopicConfigs } from './topic-configs.js';

async function aDriver(): Promise<{ driver: ReplicaDriver; partition: ReplicaPartition }> {
  const time = new VirtualTime();
  const environment = { clock: time, timers: time, logger: silentLogger };
  const factory = new MemoryStoreFactory();
  const logs = await openLogManager({
    ...{ ...environment, factory, metrics: noMetrics, directory: 'logs', clusterId: 'a', nodeId: 1 },
  });
  const config = brokerConfig.parse({ 'node.id': 1, 'log.dir': 'logs', 'controller.quorum.voters': '1@a:1' });
  const configs = new TopicConfigs(configuredBroker(1, brokerConfigEntries(config)));
  const driver = new ReplicaDriver({
    ...{ ...environment, nodeId: 1, logs, configs, metrics: new BrokerMetrics(noMetrics) },
    onFault: (fault) => {
      throw fault;
    },
  });
  const assignment = {
    ...{ topic: 'orders', topicId: 'A'.repeat(22), partition: 0, replicas: [1], isr: [1], leader: 1 },
    ...{ leaderEpoch: 0, partitionEpoch: 0, config: { 'min.insync.replicas': 1 } },
  };
  driver.assigned([{ kind: 'assign', assignment }]);
  const partition = driver.find('orders', 0);
  if (partition === undefined) throw new Error('the partition was assigned');
  return { driver, partition };
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
