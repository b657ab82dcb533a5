/** What goes wrong with a cluster. */
import { unreachable } from '@barnabas/common';
import { NO_LEADER } from '@barnabas/metadata';
import type { ClusterAdmin } from './clients/admin.js';
import type { Cluster } from './cluster.js';
import type { RoleNode } from './nodes/role-node.js';
import { Outages } from './outages.js';
import type { ClusterMisfortune } from './plan.js';
import { besiege } from './siege.js';
import { rot } from './rot.js';
import { unsteadyFollower } from './unsteady-follower.js';

const MAX_CLOCK_ERROR_MS = 1_800_000;

export class ClusterFate {
  /** Most clusters are left in peace until their topics are there. */
  readonly #isImpatient: boolean;
  readonly #outages: Outages;

  constructor(
    private readonly cluster: Cluster,
    private readonly admin: ClusterAdmin,
  ) {
    this.#isImpatient = cluster.dice.chance(0.15);
    this.#outages = new Outages(cluster);
    this.#act();
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
      if (this.#isImpatient || this.admin.isDone) this.#strike(dice.pick(plan.misfortunes));
      this.#act();
    });
  }

  #strike(misfortune: ClusterMisfortune): void {
    const { dice, trace, tally, nodes, controllers, brokers } = this.cluster;
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
      case 'fullDisk':
        return node.disk.fill(dice.between(50, 5000));
      case 'rot':
        return rot(this.cluster);
      case 'clockStep':
        // Less than message.timestamp.after.max.ms, which leaders hold their clocks against.
        return node.clock.set(dice.between(-MAX_CLOCK_ERROR_MS, MAX_CLOCK_ERROR_MS));
      case 'deletedRecords':
        return this.admin.deleteRecordsSomewhere();
      case 'failedWrite':
        return node.disk.failNextWrite(dice.pick(['refused', 'unsynced']));
      case 'reset':
        return this.cluster.network.reset();
      case 'slowLink':
        return this.#outages.slow(node, [dice.pick(nodes)], dice.between(20, 500), this.#while());
      case 'isolation':
        return this.#outages.separate([node], nodes, this.#while());
      case 'split':
        return this.#outages.separate(
          nodes.filter(() => dice.chance(0.5)),
          nodes,
          this.#while(),
        );
      case 'oneWay':
        return this.#oneWay(node);
      case 'leaderWithoutControllers':
        return this.#outages.separate([this.#leader()], controllers, this.#while());
      case 'leaderWithoutFollowers':
        return this.#outages.separate([this.#leader()], brokers, this.#while());
      case 'slowControllers':
        return this.#outages.slow(this.#leader(), controllers, dice.between(100, 2000), this.#while());
      case 'unsteadyFollower':
        return unsteadyFollower(this.cluster, this.#outages);
      case 'siege':
        return besiege(this.cluster, this.#outages, this.admin);
      case 'deletedTopic':
        return this.admin.deleteSome();
      case 'reassignment':
        return this.admin.reassignSome();
      case 'morePartitions':
        return this.admin.addPartitions();
      case 'election':
        return this.admin.electPreferred();
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

  #oneWay(node: RoleNode): void {
    const { dice, nodes } = this.cluster;
    const others = dice.chance(0.5) ? nodes : [dice.pick(nodes)];
    if (dice.chance(0.5)) this.#outages.mute(node, others, this.#while());
    else this.#outages.deafen(node, others, this.#while());
  }

  #while(): number {
    return this.cluster.dice.between(100, 6000);
  }
}
