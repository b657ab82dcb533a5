/** What goes wrong with a quorum, and the operator who starts nodes again. */
import { unreachable } from '@barnabas/common';
import type { Misfortune } from './plan.js';
import type { Quorum } from './quorum.js';
import type { QuorumNode } from './quorum-node.js';

export class QuorumFate {
  constructor(private readonly quorum: Quorum) {
    this.#act();
    this.#operate();
  }

  heal(): void {
    this.quorum.network.join();
    for (const node of this.quorum.nodes) node.disk.heal();
  }

  #act(): void {
    const { scheduler, dice, plan } = this.quorum;
    if (plan.misfortunes.length === 0) return;
    scheduler.after(dice.between(1, 2 * plan.misfortuneEveryMs), 'fate', () => {
      if (this.quorum.isEnding) return;
      this.#strike(dice.pick(plan.misfortunes));
      this.#act();
    });
  }

  #strike(misfortune: Misfortune): void {
    const { dice, nodes, trace, tally } = this.quorum;
    const node = dice.chance(0.5) ? dice.pick(nodes) : this.#leader();
    trace.note(`  ${misfortune} of node ${node.id}`);
    tally.count(misfortune);
    switch (misfortune) {
      case 'powerLoss':
        return node.losePower(dice.chance(0.5));
      case 'kill':
        return node.kill();
      case 'freeze':
        return node.freeze(dice.between(10, 2000));
      case 'stall':
        return node.disk.stall(dice.between(10, 1000));
      case 'slowDisk':
        return node.disk.slow(dice.between(2, 20), dice.between(100, 3000));
      case 'failedWrite':
        return node.disk.failNextWrite(dice.pick(['refused', 'unsynced']));
      case 'isolation':
        return this.#cutOff([node]);
      case 'deposition':
        return this.#depose();
      case 'oneWay':
        return this.#oneWay(node, dice.pick(nodes));
      case 'split':
        return this.#cutOff(nodes.filter(() => dice.chance(0.5)));
      default:
        unreachable(misfortune);
    }
  }

  /** The latest, of those who believe that they lead. */
  #leader(): QuorumNode {
    const { dice, nodes } = this.quorum;
    const termOf = ({ life }: QuorumNode): number => life?.raft?.status.term ?? 0;
    const leaders = nodes.filter(({ life }) => life?.raft?.status.role === 'leader');
    return leaders.sort((one, other) => termOf(other) - termOf(one))[0] ?? dice.pick(nodes);
  }

  /** The leader is cut off, and all who were before are back: leaders follow one another, and none of them gets far. */
  #depose(): void {
    this.quorum.network.join();
    this.#cutOff([this.#leader()]);
  }

  #oneWay(from: QuorumNode, to: QuorumNode): void {
    this.quorum.network.cut(from.id, to.id);
    this.#joinLater();
  }

  /** Nobody on one side hears anybody on the other. */
  #cutOff(side: readonly QuorumNode[]): void {
    const { nodes, network } = this.quorum;
    for (const here of side) {
      for (const there of nodes.filter((node) => !side.includes(node))) {
        network.cut(here.id, there.id);
        network.cut(there.id, here.id);
      }
    }
    this.#joinLater();
  }

  #joinLater(): void {
    const { scheduler, dice, network } = this.quorum;
    scheduler.after(dice.between(50, 2000), 'the network is whole', () => network.join());
  }

  #operate(): void {
    const { scheduler, dice, nodes } = this.quorum;
    scheduler.after(dice.between(20, 400), 'operator', () => {
      for (const node of nodes) if (node.isDown) node.start();
      this.#operate();
    });
  }
}
