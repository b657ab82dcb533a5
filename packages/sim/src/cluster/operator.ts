/**
 * Who starts machines again, and helps where a broker holds the last replica of something and cannot use
 * it: he starts the broker anew, or, where what is left has rotted, has another one lead without it.
 */
import type { ReplicaPartition } from '@barnabas/broker/parts';
import type { ClusterAdmin } from './clients/admin.js';
import type { Cluster } from './cluster.js';
import type { BrokerNode } from './nodes/broker-node.js';

export class Operator {
  constructor(
    private readonly cluster: Cluster,
    private readonly admin: ClusterAdmin,
  ) {
    this.#act();
  }

  #act(): void {
    const { scheduler, dice, nodes, brokers, isEnding } = this.cluster;
    scheduler.after(dice.between(100, 1500), 'operator', () => {
      for (const node of nodes) if (node.isDown && (isEnding || dice.chance(0.5))) node.start();
      for (const broker of brokers) this.#help(broker);
      this.#act();
    });
  }

  #help(broker: BrokerNode): void {
    const { truth } = this.cluster;
    const lost = lastOnesOffline(broker);
    const [rotten] = lost.filter(({ topicId, partition }) => truth.replica(broker.id, topicId, partition).isRotten);
    if (rotten !== undefined && rotten.replicas.length > 1) {
      const { topic, topicId, partition } = rotten;
      truth.partition(topic, topicId, partition).mayHaveLost = true;
      this.#restartOthers(broker, rotten);
      this.admin.electUncleanly({ topic, partition });
    } else if (lost.length > 0) broker.stop(1000);
  }

  /** A replica that has failed counts as offline until it is in sync or its broker begins anew: nobody elects it before. */
  #restartOthers({ id, image }: BrokerNode, { topicId, partition }: ReplicaPartition): void {
    const { offlineReplicas = [] } = image?.topics.partition(topicId, partition) ?? {};
    for (const other of this.cluster.brokers) {
      if (other.id !== id && other.isServing && offlineReplicas.includes(other.id)) other.stop(1000);
    }
  }
}

/** Logs that have failed, and nobody else is known to have what they hold. */
function lastOnesOffline({ id, isServing, node, image }: BrokerNode): readonly ReplicaPartition[] {
  if (!isServing || node === undefined) return [];
  return [...node.driver.partitions()].filter(({ log, topicId, partition }) => {
    const { isr = [], eligibleLeaderReplicas = [] } = image?.topics.partition(topicId, partition) ?? {};
    return log.kind === 'offline' && [...isr, ...eligibleLeaderReplicas].every((other) => other === id);
  });
}
