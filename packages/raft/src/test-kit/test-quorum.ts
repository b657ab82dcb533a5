/** Whole nodes on memory stores, a memory network and virtual time. */
import { present, SeededRandom, silentLogger, VirtualTime } from '@barnabas/common';
import type { Timer, Timers } from '@barnabas/common';
import { MemoryStoreFactory } from '@barnabas/store';
import type { MemoryStore } from '@barnabas/store';
import { startRaft } from '../start-raft.js';
import type { RaftConfig, RaftNode, RaftOptions } from '../types.js';
import { Journal } from './journal.js';
import { MemoryNetwork } from './memory-network.js';

export interface QuorumNode {
  readonly id: number;
  readonly node: RaftNode;
  readonly journal: Journal;
  readonly store: MemoryStore;
  readonly timers: FreezingTimers;
}

/** Timers of a process that can be made to stand still: what falls due meanwhile fires when it goes on. */
class FreezingTimers implements Timers {
  #frozen: (() => void)[] | undefined;

  constructor(readonly timers: Timers) {}

  after(delayMs: number, callback: () => void): Timer {
    return this.timers.after(delayMs, () => {
      if (this.#frozen === undefined) callback();
      else this.#frozen.push(callback);
    });
  }

  freeze(): () => void {
    this.#frozen = [];
    return () => {
      const due = this.#frozen ?? [];
      this.#frozen = undefined;
      for (const callback of due) callback();
    };
  }
}

/** Lets everything happen that needs no time. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class TestQuorum {
  readonly time = new VirtualTime();
  readonly random: SeededRandom;
  readonly disks = new MemoryStoreFactory();
  readonly network: MemoryNetwork;
  readonly nodes = new Map<number, QuorumNode>();

  constructor(
    readonly size: number,
    readonly config: Partial<RaftConfig> = {},
    seed = 1,
  ) {
    this.random = new SeededRandom(seed);
    this.network = new MemoryNetwork(this.time, this.random);
  }

  static async started(size: number, config: Partial<RaftConfig> = {}, seed = 1): Promise<TestQuorum> {
    const quorum = new TestQuorum(size, config, seed);
    for (const id of quorum.ids) await quorum.start(id);
    return quorum;
  }

  get ids(): number[] {
    return Array.from({ length: this.size }, (_, at) => at + 1);
  }

  /** A voter from the beginning, or a node that has been started before. */
  start(id: number): Promise<QuorumNode> {
    return this.#start(id, {
      initialVoters: this.ids.map((voter) => ({ id: voter, endpoint: `host-${voter}:7800` })),
    });
  }

  /** A node without a vote, that knows the addresses of others. */
  join(id: number, knows: readonly number[]): Promise<QuorumNode> {
    return this.#start(id, { bootstrapServers: knows.map((other) => `host-${other}:7800`) });
  }

  async #start(id: number, options: Pick<RaftOptions, 'initialVoters' | 'bootstrapServers'>): Promise<QuorumNode> {
    const store = await this.disks.open(`node-${id}`);
    const journal = new Journal();
    const timers = new FreezingTimers(this.time);
    const node = await startRaft({
      ...{ nodeId: id, clusterId: 'test', endpoint: `host-${id}:7800`, store },
      transport: this.network.transport(id, `host-${id}:7800`),
      ...{ clock: this.time, timers, random: this.random, logger: silentLogger },
      ...{ stateMachine: journal, config: this.config },
      ...options,
    });
    const started = { id, node, journal, store, timers };
    this.nodes.set(id, started);
    return started;
  }

  /** Time passes for the node, and none of its timers fires. Returns what lets it go on. */
  freeze(id: number): () => void {
    return this.get(id).timers.freeze();
  }

  /** The machine of a node dies. */
  async crash(id: number, options: { readonly loseAll?: boolean } = {}): Promise<void> {
    const { node, store } = this.get(id);
    this.nodes.delete(id);
    store.crash(options.loseAll === true ? undefined : this.random);
    await node.stop();
  }

  get(id: number): QuorumNode {
    return present(this.nodes.get(id), 'running node', { id });
  }

  get leader(): QuorumNode | undefined {
    return [...this.nodes.values()].find(({ journal }) => journal.leads !== undefined);
  }

  /** Time passes. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 5) {
      this.time.advance(5);
      await turn();
    }
  }

  /** Time passes until something is so. */
  async until<T>(what: string, read: () => T | undefined | false, limitMs = 30_000): Promise<T> {
    for (let passed = 0; passed < limitMs; passed += 5) {
      const value = read();
      if (value !== undefined && value !== false) return value;
      this.time.advance(5);
      await turn();
    }
    throw new Error(`not within ${limitMs} ms: ${what}`);
  }

  /** Time passes until a promise is settled. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const watched = promise.finally(() => {
      over = true;
    });
    watched.catch(() => undefined);
    await this.until('a promise is settled', () => over);
    return watched;
  }

  untilLeader(): Promise<QuorumNode> {
    return this.until('a leader', () => this.leader);
  }

  async stop(): Promise<void> {
    for (const { node } of this.nodes.values()) await node.stop();
  }
}
