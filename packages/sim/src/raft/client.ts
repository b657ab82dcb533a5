/** Somebody who proposes commands and reads, at whichever node he takes for the leader. */
import { BarnabasError } from '@barnabas/protocol';
import type { RaftNode } from '@barnabas/raft';
import type { Quorum } from './quorum.js';
import type { QuorumNode } from './quorum-node.js';

/** After this long a client no longer waits for an answer: the node may have died with it. */
const PATIENCE_MS = 3000;

export class QuorumClient {
  #made = 0;
  /** Proposals on their way. */
  readonly #waiting = new Set<object>();
  #progress = false;

  constructor(
    private readonly quorum: Quorum,
    private readonly name: string,
  ) {
    this.#act();
  }

  /** Since everything was healed, something new was acknowledged and nothing is waited for. */
  get isDone(): boolean {
    return this.#progress && this.#waiting.size === 0;
  }

  /** In the end one thing at a time, until one has been acknowledged. */
  get #hasEnough(): boolean {
    return this.quorum.isEnding && (this.#progress || this.#waiting.size > 0);
  }

  #act(): void {
    const { scheduler, dice } = this.quorum;
    scheduler.after(dice.between(1, 60), this.name, () => {
      const node = this.#node();
      if (node?.raft !== undefined && !this.#hasEnough) {
        const doing = dice.chance(0.3) ? this.#read(node, node.raft) : this.#propose(node.raft);
        doing.catch((error: unknown) => this.#refused(error));
      }
      this.#act();
    });
  }

  /** Mostly whoever leads. */
  #node(): QuorumNode | undefined {
    const { nodes, dice } = this.quorum;
    const leader = nodes.find(({ raft }) => raft?.status.role === 'leader');
    return leader !== undefined && dice.chance(0.8) ? leader : dice.pick(nodes);
  }

  async #propose(raft: RaftNode): Promise<void> {
    const { dice, trace, tally, checks, scheduler } = this.quorum;
    const commands = Array.from({ length: dice.between(1, 3) }, () => `${this.name}.${this.#made++}`);
    const token = {};
    this.#waiting.add(token);
    scheduler.after(PATIENCE_MS, `${this.name} waits no longer`, () => this.#waiting.delete(token));
    try {
      const committed = await raft.propose(commands.map((command) => Buffer.from(command)));
      trace.note(`  ${this.name}: ${commands.join(', ')} at ${committed.firstIndex} of term ${committed.term}`);
      tally.count('commands acknowledged', commands.length);
      this.quorum.judge(() => checks.acknowledged(commands, committed));
      if (this.quorum.isEnding) this.#progress = true;
    } finally {
      this.#waiting.delete(token);
    }
  }

  async #read(node: QuorumNode, raft: RaftNode): Promise<void> {
    const { trace, tally, checks } = this.quorum;
    const least = checks.told;
    const index = await raft.readBarrier();
    trace.note(`  ${this.name}: read up to ${index} at ${node.id}`);
    tally.count('reads answered');
    if (node.raft === raft) this.quorum.judge(() => checks.read(node.id, index, least, node.applied));
  }

  #refused(error: unknown): void {
    if (error instanceof BarnabasError) this.quorum.tally.count(`refused ${error.errorName}`);
    else this.quorum.fail(error);
  }
}
