/**
 * Somebody who changes who votes and who leads, one call after another: makes voters of observers, takes
 * the vote from others, the leader included, hands over the lead, and replaces voters whose disk is gone.
 *
 * He knows what a careful operator knows: a disk is given up only while all nodes are up and agree on
 * who votes, so that a majority of the disks is left; and while a voter's disk is gone, nobody but that
 * voter is removed. In the end he removes it, so that what took its place can follow.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { RaftNode, RaftStatus, ReplicaStatus } from '@barnabas/raft';
import type { Quorum } from './quorum.js';

const MAX_VOTERS = 5;
const PATIENCE_MS = 2500;

export class Administrator {
  /** Directories that are no more. */
  readonly #lost = new Set<string>();
  /** What came of the last change is known. */
  #isSettled = true;

  constructor(private readonly quorum: Quorum) {
    if (quorum.plan.changeEveryMs !== undefined) this.#pause(quorum.plan.changeEveryMs);
  }

  #pause(everyMs: number): void {
    const { scheduler, dice } = this.quorum;
    scheduler.after(dice.between(1, 2 * everyMs), 'administrator', () => {
      let isOver = false;
      const goOn = (): void => {
        if (!isOver) this.#pause(everyMs);
        isOver = true;
      };
      // The node that he has asked may die with his call.
      const patience = scheduler.after(PATIENCE_MS, 'administrator waits no longer', goOn);
      this.#act()
        .catch((error: unknown) => this.#refused(error))
        .finally(() => {
          patience.cancel();
          goOn();
        })
        .catch((error: unknown) => this.quorum.fail(error));
    });
  }

  async #act(): Promise<void> {
    const { nodes, dice } = this.quorum;
    const leaders = nodes.flatMap(({ life }) => (life?.raft?.status.role === 'leader' ? [life.raft] : []));
    if (leaders.length === 0) return;
    const raft = dice.pick(leaders);
    const { status } = raft;
    const gone = [...status.voters, ...status.observers].find(({ directoryId }) => this.#lost.has(directoryId));
    // In the end he leaves nothing half done: whoever has a new disk follows only once its old self is gone.
    if (gone !== undefined && (this.quorum.isEnding || dice.chance(0.7))) return this.#remove(raft, status, gone);
    if (this.quorum.isEnding) return;
    switch (dice.below(5)) {
      case 0:
        return this.#transfer(raft);
      case 1:
        return gone === undefined && status.voters.length > 1
          ? this.#remove(raft, status, dice.pick(status.voters))
          : undefined;
      case 2:
        return this.#loseADisk(status);
      default:
        return this.#add(raft, status);
    }
  }

  async #add(raft: RaftNode, { voters, observers }: RaftStatus): Promise<void> {
    if (observers.length === 0 || voters.length >= MAX_VOTERS) return;
    const { id, directoryId } = this.quorum.dice.pick(observers);
    this.#note(`node ${id} (${directoryId}) is to vote`);
    await this.#change(raft.addVoter({ id, directoryId }, this.#patience()));
    this.quorum.tally.count('voters added');
  }

  async #remove(raft: RaftNode, { nodeId }: RaftStatus, { id, directoryId }: ReplicaStatus): Promise<void> {
    this.#note(`node ${id} (${directoryId}) is to vote no more`);
    await this.#change(raft.removeVoter({ id, directoryId }, this.#patience()));
    const { tally } = this.quorum;
    tally.count(id === nodeId ? 'leaders removed' : 'voters removed');
    if (this.#lost.has(directoryId)) tally.count('lost voters removed');
  }

  async #transfer(raft: RaftNode): Promise<void> {
    const { dice, nodes, tally } = this.quorum;
    const to = dice.chance(0.5) ? undefined : dice.pick(nodes).id;
    this.#note(`the lead is to go to ${to ?? 'whoever is furthest'}`);
    await raft.transferLeadership(to, this.#patience());
    tally.count('leads handed over');
  }

  #loseADisk({ voters }: RaftStatus): void {
    const { nodes, dice, tally } = this.quorum;
    const key = (all: readonly ReplicaStatus[]): string => all.map(({ directoryId }) => directoryId).join();
    const agree = nodes.every(({ life }) => life?.raft !== undefined && key(life.raft.status.voters) === key(voters));
    const isWhole = voters.every(({ directoryId }) => !this.#lost.has(directoryId));
    if (!this.#isSettled || !agree || !isWhole || voters.length < 3) return;
    const { id, directoryId } = dice.pick(voters);
    this.#note(`node ${id} loses its disk (${directoryId})`);
    this.#lost.add(directoryId);
    nodes.find((node) => node.id === id)?.loseDisk();
    tally.count('disks lost');
  }

  async #change(change: Promise<void>): Promise<void> {
    this.#isSettled = false;
    await change;
    this.#isSettled = true;
  }

  #patience(): { readonly timeoutMs: number } {
    return { timeoutMs: this.quorum.dice.between(100, 2000) };
  }

  #note(what: string): void {
    this.quorum.trace.note(`  administrator: ${what}`);
  }

  #refused(error: unknown): void {
    if (error instanceof BarnabasError) this.quorum.tally.count(`administrator refused ${error.errorName}`);
    else this.quorum.fail(error);
  }
}
