/** Somebody who writes and reads registers, one call after another, at whichever node he takes for the leader. */
import { BarnabasError } from '@barnabas/protocol';
import type { RaftNode } from '@barnabas/raft';
import type { Ledger } from './ledger.js';
import type { Quorum } from './quorum.js';
import type { QuorumNode } from './quorum-node.js';

/** After this long a client no longer waits for an answer: the node may have died with it. */
const MAX_PATIENCE_MS = 2000;
const REGISTERS = ['r0', 'r1', 'r2'];

/** A client that has given up takes no notice of a late answer: to him the outcome is unknown. */
interface Call {
  isWaitedFor: boolean;
}

export class QuorumClient {
  #made = 0;
  #isWaiting = false;
  /** Since everything was healed. */
  #hasWritten = false;
  #hasRead = false;

  constructor(
    private readonly quorum: Quorum,
    private readonly name: string,
  ) {
    this.#pause();
  }

  /** Since everything was healed, something new was acknowledged and then read, and nothing is waited for. */
  get isDone(): boolean {
    return this.#hasWritten && this.#hasRead && !this.#isWaiting;
  }

  #pause(): void {
    const { scheduler, dice } = this.quorum;
    scheduler.after(dice.between(1, 60), this.name, () => this.#act());
  }

  #act(): void {
    const { quorum } = this;
    const { scheduler, dice } = quorum;
    const node = this.#node();
    const { life } = node;
    if (life?.raft === undefined || (quorum.isEnding && this.isDone)) {
      this.#pause();
      return;
    }
    const reads = quorum.isEnding ? this.#hasWritten : dice.chance(0.4);
    this.#isWaiting = true;
    const call: Call = { isWaitedFor: true };
    const goOn = (): void => {
      if (!call.isWaitedFor) return;
      call.isWaitedFor = false;
      this.#isWaiting = false;
      this.#pause();
    };
    const patience = scheduler.after(dice.between(100, MAX_PATIENCE_MS), `${this.name} waits no longer`, goOn);
    const work = reads ? this.#read(call, node, life.raft, life.ledger) : this.#write(call, life.raft);
    work
      .catch((error: unknown) => this.#refused(error))
      .finally(() => {
        patience.cancel();
        goOn();
      })
      .catch((error: unknown) => quorum.fail(error));
  }

  /** Mostly whoever leads, or believes so. */
  #node(): QuorumNode {
    const { nodes, dice } = this.quorum;
    const leaders = nodes.filter(({ life }) => life?.raft?.status.role === 'leader');
    return leaders.length > 0 && dice.chance(0.8) ? dice.pick(leaders) : dice.pick(nodes);
  }

  async #write(call: Call, raft: RaftNode): Promise<void> {
    const { dice, trace, tally, logs, history } = this.quorum;
    const writes = Array.from({ length: dice.between(1, 3) }, () =>
      history.invoke({ type: 'write', register: dice.pick(REGISTERS), value: `${this.name}.${this.#made++}` }),
    );
    const commands = writes.map(({ action }) => `${action.value} ${action.register}`);
    const isEnd = this.quorum.isEnding;
    try {
      const committed = await raft.propose(commands.map((command) => Buffer.from(command)));
      if (call.isWaitedFor) for (const write of writes) history.written(write);
      trace.note(`  ${this.name}: ${commands.join(', ')} at ${committed.firstIndex} of term ${committed.term}`);
      tally.count('commands acknowledged', commands.length);
      this.quorum.judge(() => logs.acknowledged(commands, committed));
      if (isEnd) this.#hasWritten = true;
    } catch (error) {
      if (!isUnknown(error)) for (const write of writes) history.failed(write);
      throw error;
    }
  }

  async #read(call: Call, node: QuorumNode, raft: RaftNode, ledger: Ledger): Promise<void> {
    const { dice, trace, tally, logs, history } = this.quorum;
    const register = dice.pick(REGISTERS);
    const read = history.invoke({ type: 'read', register, value: undefined });
    const isEnd = this.quorum.isEnding;
    const least = logs.told;
    const lease = this.quorum.plan.config.leaseClockDriftMs !== 0 && dice.chance(0.7);
    const index = await raft.readBarrier({ lease });
    const value = ledger.valueOf(register);
    if (call.isWaitedFor) history.read(read, value);
    trace.note(`  ${this.name}: ${register} is ${value ?? 'empty'} at ${index} of node ${node.id}`);
    tally.count(lease ? 'reads by lease answered' : 'reads answered');
    this.quorum.judge(() => logs.read(node.id, index, least, ledger.length));
    if (isEnd) this.#hasRead = true;
  }

  #refused(error: unknown): void {
    if (error instanceof BarnabasError) this.quorum.tally.count(`refused ${error.errorName}`);
    else this.quorum.fail(error);
  }
}

function isUnknown(error: unknown): boolean {
  return !(error instanceof BarnabasError) || error.errorName === 'REQUEST_TIMED_OUT';
}
