/** Who starts machines again, and brokers that hold the last replica of something and cannot use it. */
import type { Cluster } from './cluster.js';
import type { BrokerNode } from './nodes/broker-node.js';

export class Operator {
  constructor(private readonly cluster: Cluster) {
    this.#act();
  }

  #act(): void {
    const { scheduler, dice, nodes, brokers, isEnding } = this.cluster;
    scheduler.after(dice.between(100, 1500), 'operator', () => {
      for (const node of nodes) if (node.isDown && (isEnding || dice.chance(0.5))) node.start();
      for (const broker of brokers) if (needsAPerson(broker)) broker.stop(1000);
      this.#act();
    });
  }
}

/** A log has failed, and nobody else is known to have what it holds. */
function needsAPerson({ id, isServing, node, image }: BrokerNode): boolean {
  if (!isServing || node === undefined) return false;
  for (const { log, topicId, partition } of node.driver.partitions()) {
    if (log.kind !== 'offline') continue;
    const { isr = [], eligibleLeaderReplicas = [] } = image?.topics.partition(topicId, partition) ?? {};
    if ([...isr, ...eligibleLeaderReplicas].every((other) => other === id)) return true;
  }
  return false;
}
