/** A quorum in its world: nodes, the network between them, and what is known of them from outside. */
import type { PeerMessage, RaftStatus } from '@barnabas/raft';
import { Stage } from '../kernel/stage.js';
import { registersProblem } from '../linearizability/registers.js';
import { Violation } from '../kernel/violation.js';
import { ElectionChecks } from './checks/elections.js';
import { LifeChecks } from './checks/lives.js';
import { LogChecks } from './checks/logs.js';
import { History } from './history.js';
import type { LedgerListener } from './ledger.js';
import { Network } from './network.js';
import { planQuorum } from './plan.js';
import type { QuorumPlan } from './plan.js';
import type { QuorumPlant } from './plants/plant.js';
import { QuorumNode } from './quorum-node.js';

/**
 * It was removed while it was away, does not know, and stands for election for ever, in vain: nobody tells
 * it, as in every Raft, since nobody sends to whoever does not vote and does not announce itself.
 */
function isForgotten({ directoryId, voters }: RaftStatus, leader: RaftStatus): boolean {
  const votes = (all: RaftStatus['voters']): boolean => all.some((one) => one.directoryId === directoryId);
  return votes(voters) && !votes(leader.voters);
}

export class Quorum extends Stage {
  readonly plan: QuorumPlan;
  readonly elections = new ElectionChecks((nodeId) => this.#majorityOf(nodeId));
  readonly logs = new LogChecks();
  readonly history = new History();
  readonly network: Network;
  readonly nodes: readonly QuorumNode[];
  readonly #lives = new LifeChecks();

  constructor(seed: number, plant: QuorumPlant) {
    super(seed);
    const planned = planQuorum(this.dice, plant.needs ?? []);
    const plan = plant.tune?.(planned) ?? planned;
    this.plan = plan;
    const statusOf = (id: number) => this.nodes[id - 1]?.life?.raft?.status;
    this.network = new Network(this, plan, (message) => this.#sent(message), plant, statusOf);
    const { network } = this;
    this.nodes = Array.from({ length: plan.nodes }, (_, at) => {
      const id = at + 1;
      return new QuorumNode({ id, stage: this, plan, network, plant, listener: this.#listener(id) });
    });
    for (const node of this.nodes) node.start();
  }

  /** Every node is up and has applied everything that any of them has. */
  get isLevel(): boolean {
    const leader = this.nodes.find(({ life }) => life?.raft?.status.role === 'leader')?.life?.raft?.status;
    return this.nodes.every(({ life, applied }) => {
      if (life?.raft === undefined || leader === undefined) return false;
      return applied === this.logs.length || isForgotten(life.raft.status, leader);
    });
  }

  /** After every event. */
  look(): void {
    const leaders: RaftStatus[] = [];
    for (const { life } of this.nodes) {
      if (life?.raft === undefined) continue;
      const { status } = life.raft;
      this.#lives.shows(life, status);
      this.logs.committed(status.term, status.commitIndex);
      if (status.role === 'leader') leaders.push(status);
    }
    for (const { nodeId, term, lastIndex } of leaders) {
      this.elections.leads(nodeId, term);
      this.logs.leads(nodeId, term, lastIndex);
    }
  }

  /** At the end, when everybody has been answered. */
  judgeHistory(): void {
    const { operations } = this.history;
    this.tally.count('operations judged', operations.length);
    const problem = registersProblem(operations);
    if (problem !== undefined) throw new Violation('linearizable', problem);
  }

  describe(): string {
    return this.nodes
      .map(({ id, life, applied }) => {
        if (life?.raft === undefined) return `node ${id} ${life === undefined ? 'is down' : 'starts'}`;
        const { role, term, commitIndex, lastIndex, voters } = life.raft.status;
        const knows = voters.map((voter) => voter.id).join();
        return `node ${id}: ${role} of term ${term}, commit ${commitIndex} of ${lastIndex}, applied ${applied}, voters ${knows}`;
      })
      .join('; ');
  }

  #sent(message: PeerMessage): void {
    this.elections.sent(message);
    if (message.type === 'append') this.logs.sent(message);
  }

  #majorityOf(nodeId: number): number {
    const voters = this.nodes[nodeId - 1]?.life?.raft?.status.voters.length ?? this.plan.nodes;
    return Math.floor(voters / 2) + 1;
  }

  #listener(id: number): LedgerListener {
    const { logs, elections, tally, trace } = this;
    return {
      onEntry: (index, line) => this.judge(() => logs.applied(id, index, line)),
      onLeadership: (term, applied) => {
        trace.note(`  node ${id} ${term === undefined ? 'leads no more' : `leads term ${term}`}`);
        if (term === undefined) return;
        tally.count('leaderships');
        this.judge(() => {
          elections.leads(id, term);
          logs.announced(id, term, applied);
        });
      },
      onRestored: (index, before) => {
        tally.count('snapshots restored');
        this.judge(() => logs.restored(id, index, before));
      },
    };
  }
}
