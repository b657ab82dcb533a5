/** A quorum in its world: nodes, the network between them, and what is known of them from outside. */
import { Stage } from '../kernel/stage.js';
import { QuorumChecks } from './checks.js';
import { Network } from './network.js';
import { planQuorum } from './plan.js';
import type { QuorumPlan } from './plan.js';
import type { QuorumPlant } from './plants.js';
import { QuorumNode } from './quorum-node.js';

export class Quorum extends Stage {
  readonly plan: QuorumPlan;
  readonly checks = new QuorumChecks();
  readonly network: Network;
  readonly nodes: readonly QuorumNode[];

  constructor(seed: number, plant: QuorumPlant) {
    super(seed);
    const plan = planQuorum(this.dice, plant.needs ?? []);
    this.plan = plan;
    this.network = new Network(this, plan, (message) => this.checks.sent(message), plant);
    const { network } = this;
    this.nodes = Array.from({ length: plan.nodes }, (_, at) => {
      const id = at + 1;
      return new QuorumNode({ id, stage: this, plan, network, plant, listener: this.#listener(id) });
    });
    for (const node of this.nodes) node.start();
  }

  /** Every node is up and has applied everything that any of them has. */
  get isLevel(): boolean {
    return this.nodes.every((node) => node.raft !== undefined && node.applied === this.checks.length);
  }

  /** After every event. */
  look(): void {
    for (const { id, raft } of this.nodes) {
      const status = raft?.status;
      if (status?.role === 'leader') this.checks.leads(id, status.term);
    }
  }

  describe(): string {
    return this.nodes
      .map(({ id, raft, applied, isDown }) => {
        if (raft === undefined) return `node ${id} ${isDown ? 'is down' : 'starts'}`;
        const { role, term, commitIndex, lastIndex } = raft.status;
        return `node ${id}: ${role} of term ${term}, commit ${commitIndex} of ${lastIndex}, applied ${applied}`;
      })
      .join('; ');
  }

  #listener(id: number) {
    const { checks, tally, trace } = this;
    return {
      onEntry: (index: number, line: string) => this.judge(() => checks.applied(id, index, line)),
      onLeadership: (term: number | undefined, applied: number) => {
        trace.note(`  node ${id} ${term === undefined ? 'leads no more' : `leads term ${term}`}`);
        if (term === undefined) return;
        tally.count('leaderships');
        this.judge(() => checks.announced(id, term, applied));
      },
      onRestored: () => tally.count('snapshots restored'),
    };
  }
}
