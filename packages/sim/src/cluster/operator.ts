/** Who starts machines again, and brokers of which a log has failed. */
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

/** A log has failed. */
function needsAPerson({ isServing, node }: BrokerNode): boolean {
  if (!isServing || node === undefined) return false;
  return [...node.driver.partitions()].some(({ log }) => log.kind === 'offline');
}
