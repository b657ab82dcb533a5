/** What goes wrong with a cluster, and the operator who starts machines again. */
import { unreachable } from '@barnabas/common';
import { NO_LEADER } from '@barnabas/metadata';
import type { Cluster } from './cluster.js';
import type { BrokerNode } from './nodes/broker-node.js';
import type { RoleNode } from './nodes/role-node.js';
import type { ClusterMisfortune } from './plan.js';

export class ClusterFate {
  constructor(private readonly cluster: Cluster) {
    this.#act();
    this.#operate();
  }

  heal(): void {
    const { network, nodes } = this.cluster;
    network.join();
    network.links.calm();
    for (const node of nodes) node.disk.heal();
  }

  #act(): void {
    const { scheduler, dice, plan } = this.cluster;
    if (plan.misfortunes.length === 0) return;
    scheduler.after(dice.between(1, 2 * plan.misfortuneEveryMs), 'fate', () => {
      if (this.cluster.isEnding) return;
      this.#strike(dice.pick(plan.misfortunes));
      this.#act();
    });
  }

  #strike(misfortune: ClusterMisfortune): void {
    const { dice, trace, tally } = this.cluster;
    const node = this.#victim();
    trace.note(`  ${misfortune}, perhaps of ${node.name}`);
    tally.count(misfortune);
    switch (misfortune) {
      case 'kill':
        return node.kill();
      case 'powerLoss':
        return node.losePower(dice.chance(0.5));
      case 'killOfAll':
        return this.#each((one) => one.kill());
      case 'powerLossOfAll':
        return this.#each((one) => one.losePower(dice.chance(0.5)));
      case 'restart':
        return node.stop(dice.between(500, 3000));
      case 'freeze':
        return node.freeze(dice.between(50, 4000));
      case 'stall':
        return node.disk.stall(dice.between(50, 2000));
      case 'failedWrite':
        return node.disk.failNextWrite(dice.pick(['refused', 'unsynced']));
      case 'reset':
        return this.cluster.network.reset();
      case 'slowLink':
        return this.#slow(node);
      case 'isolation':
        return this.#cutOff([node], this.cluster.nodes);
      case 'split':
        return this.#cutOff(
          this.cluster.nodes.filter(() => dice.chance(0.5)),
          this.cluster.nodes,
        );
      case 'oneWay':
        return this.#oneWay(node);
      case 'leaderWithoutControllers':
        return this.#cutOff([this.#leader()], this.cluster.controllers);
      case 'leaderWithoutFollowers':
        return this.#cutOff([this.#leader()], this.cluster.brokers);
      default:
        unreachable(misfortune);
    }
  }

  /** Brokers have more to lose than controllers. */
  #victim(): RoleNode {
    const { dice, controllers, brokers, activeController } = this.cluster;
    if (dice.chance(0.35)) return this.#leader();
    if (dice.chance(0.6)) return dice.pick(brokers);
    return dice.chance(0.5) ? (activeController ?? dice.pick(controllers)) : dice.pick(controllers);
  }

  /** A broker that leads something. */
  #leader(): RoleNode {
    const { dice, brokers, image } = this.cluster;
    const leaders = [...(image?.topics.values() ?? [])].flatMap(({ partitions }) =>
      partitions.map(({ leader }) => leader),
    );
    const ids = leaders.filter((id) => id !== NO_LEADER);
    const broker = ids.length === 0 ? undefined : brokers[dice.pick(ids) - 1];
    return broker ?? dice.pick(brokers);
  }

  #each(strike: (node: RoleNode) => void): void {
    for (const node of this.cluster.nodes) strike(node);
  }

  #slow(node: RoleNode): void {
    const { dice, nodes, network } = this.cluster;
    const other = dice.pick(nodes);
    const extraMs = dice.between(20, 500);
    network.links.slow(node.name, other.name, extraMs);
    network.links.slow(other.name, node.name, extraMs);
    this.#joinLater();
  }

  #oneWay(node: RoleNode): void {
    const { dice, nodes, network } = this.cluster;
    const others = dice.chance(0.5) ? nodes : [dice.pick(nodes)];
    for (const other of others) {
      if (other === node) continue;
      if (dice.chance(0.5)) network.cut(node.name, other.name);
      else network.cut(other.name, node.name);
    }
    this.#joinLater();
  }

  /** Nobody on this side hears anybody of the others, and the other way round. Clients reach everybody. */
  #cutOff(side: readonly RoleNode[], others: readonly RoleNode[]): void {
    const { network } = this.cluster;
    for (const here of side) {
      for (const there of others.filter((node) => !side.includes(node))) {
        network.cut(here.name, there.name);
        network.cut(there.name, here.name);
      }
    }
    this.#joinLater();
  }

  #joinLater(): void {
    const { scheduler, dice, network } = this.cluster;
    scheduler.after(dice.between(100, 6000), 'the network is whole', () => network.join());
  }

  #operate(): void {
    const { scheduler, dice, nodes, brokers } = this.cluster;
    scheduler.after(dice.between(100, 1500), 'operator', () => {
      for (const node of nodes) if (node.isDown && (this.cluster.isEnding || dice.chance(0.5))) node.start();
      for (const broker of brokers) if (needsAPerson(broker)) broker.stop(1000);
      this.#operate();
    });
  }
}

/** A log has failed: the operator starts its broker again. */
function needsAPerson({ isServing, node }: BrokerNode): boolean {
  if (!isServing || node === undefined) return false;
  return [...node.driver.partitions()].some(({ log }) => log.kind === 'offline');
}
