/**
 * Quorums of one, three and five real Raft nodes, each on a disk of its own, under clients and
 * misfortune; then all is healed, and the quorum must commit again and come level.
 */
import { run } from '../kernel/play.js';
import type { Events, Play } from '../kernel/play.js';
import type { RunOptions, Scenario } from '../kernel/report.js';
import { Administrator } from './administrator.js';
import { QuorumClient } from './client.js';
import { QuorumFate } from './misfortune.js';
import { NO_QUORUM_PLANT, QUORUM_PLANTS } from './plants/index.js';
import { Quorum } from './quorum.js';

export const raftScenario: Scenario = {
  name: 'raft',
  events: 2000,
  plants: QUORUM_PLANTS,
  expects: {
    'commands acknowledged': 300,
    'reads answered': 30,
    'reads by lease answered': 30,
    'operations judged': 300,
    ...{ 'voters added': 3, 'voters removed': 3, 'disks lost': 1, 'leads handed over': 3 },
    leaderships: 50,
    'snapshots restored': 5,
    'refused NOT_CONTROLLER': 30,
    'refused REQUEST_TIMED_OUT': 5,
    'nodes ended by their disk': 3,
    ...{
      powerLoss: 3,
      kill: 3,
      freeze: 3,
      stall: 3,
      slowDisk: 3,
      failedWrite: 3,
      isolation: 3,
      deposition: 3,
      oneWay: 3,
      split: 3,
    },
  },
  run: (options: RunOptions) => run('raft', options, () => new QuorumRun(options)),
};

class QuorumRun implements Play {
  readonly stage: Quorum;
  readonly #clients: readonly QuorumClient[];
  readonly #fate: QuorumFate;

  constructor(private readonly options: RunOptions) {
    const plant = QUORUM_PLANTS.find(({ name }) => name === options.plant) ?? NO_QUORUM_PLANT;
    const quorum = new Quorum(options.seed, plant);
    this.stage = quorum;
    this.#clients = Array.from({ length: quorum.plan.clients }, (_, at) => new QuorumClient(quorum, `client-${at}`));
    this.#fate = new QuorumFate(quorum);
    new Administrator(quorum);
  }

  check(): void {
    this.stage.look();
  }

  async act(events: Events): Promise<void> {
    await events.upTo(this.options.events);
    this.stage.isEnding = true;
    this.#fate.heal();
    const isDone = () => this.#clients.every((client) => client.isDone) && this.stage.isLevel;
    await events.until('every client is answered, and all nodes are level', isDone, () => this.stage.describe());
    this.stage.judgeHistory();
  }
}
