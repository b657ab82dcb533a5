import { setTimeout as pause } from 'node:timers/promises';
import { present, silentLogger } from '@barnabas/common';
import { systemClock, systemRandom, systemTimers } from '@barnabas/common/node';
import { internal } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import { createConnector, serve } from '@barnabas/rpc';
import type { Connector, RunningServer } from '@barnabas/rpc';
import { MemoryStoreFactory } from '@barnabas/store';
import { startRaft } from '../start-raft.js';
import { directoryIdOf } from '../storage/format.js';
import { Journal } from '../test-kit/journal.js';
import type { RaftNode, RaftOptions, Voter } from '../types.js';
import { createGrpcTransport } from './grpc-transport.js';

/** Real time here: short enough for a test, long enough for a busy machine. */
const CONFIG = { electionTimeoutMs: 400, heartbeatIntervalMs: 40 };
const HOST = '127.0.0.1';

async function until<T>(read: () => T | undefined | false): Promise<T> {
  for (;;) {
    const value = read();
    if (value !== undefined && value !== false) return value;
    await pause(5);
  }
}

interface Running {
  readonly id: number;
  readonly node: RaftNode;
  readonly journal: Journal;
  stop(): Promise<void>;
}

class GrpcQuorum {
  readonly disks = new MemoryStoreFactory();
  readonly running = new Map<number, Running>();

  private constructor(readonly voters: readonly Voter[]) {}

  /** Voters on ports that the system chose, kept free until they are needed. */
  static async started(size: number): Promise<GrpcQuorum> {
    const holders: RunningServer[] = [];
    for (let id = 1; id <= size; id++) {
      holders.push(await serve({ listen: { host: HOST, port: 0 }, services: [], logger: silentLogger }));
    }
    const quorum = new GrpcQuorum(holders.map(({ port }, at) => ({ id: at + 1, endpoint: `${HOST}:${port}` })));
    for (const holder of holders) await holder.stop(0);
    for (const { id } of quorum.voters) await quorum.start(id);
    return quorum;
  }

  /** A node without a vote, that knows the address of one voter. */
  join(id: number, endpoint: string, bootstrapServer: string): Promise<Running> {
    return this.#start(id, 'castle', { endpoint, bootstrapServers: [bootstrapServer] });
  }

  start(id: number, clusterId = 'castle'): Promise<Running> {
    const { endpoint } = present(this.voters[id - 1], 'voter');
    return this.#start(id, clusterId, { endpoint, initialVoters: this.voters });
  }

  async #start(
    id: number,
    clusterId: string,
    place: Pick<RaftOptions, 'endpoint' | 'initialVoters' | 'bootstrapServers'>,
  ): Promise<Running> {
    const environment = { clock: systemClock, timers: systemTimers, random: systemRandom, logger: silentLogger };
    const connector: Connector = createConnector();
    const { transport, service } = createGrpcTransport({ ...environment, connector });
    const port = Number(place.endpoint.split(':')[1]);
    const server = await serve({ listen: { host: HOST, port }, services: [service], logger: silentLogger });
    const store = await this.disks.open(`${clusterId}-${id}`);
    const journal = new Journal();
    const quorum = { nodeId: id, clusterId, ...place };
    const options = { ...environment, ...quorum, store, transport, stateMachine: journal, config: CONFIG };
    const node = await startRaft(options);
    const stop = async () => {
      this.running.delete(id);
      await node.stop();
      connector.close();
      await server.stop(0);
      await store.close();
    };
    const running = { id, node, journal, stop };
    this.running.set(id, running);
    return running;
  }

  leader(): Promise<Running> {
    return until(() => [...this.running.values()].find(({ journal }) => journal.leads !== undefined));
  }

  async agree(commands: readonly string[]): Promise<void> {
    await until(() => [...this.running.values()].every(({ journal }) => journal.commands.length === commands.length));
    for (const { journal } of this.running.values()) expect(journal.commands).toEqual(commands);
  }

  async stop(): Promise<void> {
    for (const one of [...this.running.values()]) await one.stop();
  }
}

describe('a quorum over gRPC', () => {
  let quorum: GrpcQuorum;
  afterEach(() => quorum.stop());

  it('elects, commits, survives its leader, and takes the old one back', async () => {
    quorum = await GrpcQuorum.started(3);
    const first = await quorum.leader();
    await first.node.propose([Buffer.from('a'), Buffer.from('b')]);
    expect(await first.node.readBarrier()).toBeGreaterThanOrEqual(3);
    await quorum.agree(['a', 'b']);

    await first.stop();
    const second = await quorum.leader();
    expect(second.id).not.toBe(first.id);
    await second.node.propose([Buffer.from('c')]);
    await quorum.agree(['a', 'b', 'c']);

    await quorum.start(first.id);
    await quorum.agree(['a', 'b', 'c']);
    const { voters } = (await quorum.leader()).node.status;
    expect(voters.every(({ lastContactMs }) => lastContactMs >= 0 && lastContactMs < 10_000)).toBe(true);
  });

  it('takes in a node that knows one address, and lets a voter go', async () => {
    quorum = await GrpcQuorum.started(3);
    const leader = await quorum.leader();
    await leader.node.propose([Buffer.from('a')]);
    const holder = await serve({ listen: { host: HOST, port: 0 }, services: [], logger: silentLogger });
    const endpoint = `${HOST}:${holder.port}`;
    await holder.stop(0);
    // Whoever it knows need not lead: it finds all by that one.
    const known = present(
      quorum.voters.find(({ id }) => id !== leader.id),
      'voter',
    );
    const joiner = await quorum.join(9, endpoint, known.endpoint);
    await quorum.agree(['a']);
    const { directoryId } = joiner.node.status;
    await leader.node.addVoter({ id: 9, directoryId }, { timeoutMs: 20_000 });
    const member = leader.node.status.voters.find(({ id }) => id === 9);
    expect(member).toMatchObject({ directoryId, endpoint });
    await leader.node.removeVoter({ id: leader.id }, { timeoutMs: 20_000 });
    const next = await until(() => {
      const running = present(quorum.running.get(9), 'joiner');
      const { leaderId } = running.node.status;
      return leaderId !== undefined && leaderId !== leader.id && quorum.running.get(leaderId);
    });
    await until(() => next.journal.leads !== undefined);
    await next.node.propose([Buffer.from('b')]);
    // The one that left follows on.
    await quorum.agree(['a', 'b']);
    expect(next.node.status.voters.map(({ id }) => id)).not.toContain(leader.id);
  });

  it('has nothing to do with a node of another cluster at a voter’s address', async () => {
    quorum = await GrpcQuorum.started(3);
    const leader = await quorum.leader();
    const stranger = leader.id === 3 ? 2 : 3;
    await present(quorum.running.get(stranger), 'node').stop();
    const { node, journal } = await quorum.start(stranger, 'village');
    await leader.node.propose([Buffer.from('a')]);
    await until(() => node.status.role === 'preCandidate');
    expect(journal.commands).toEqual([]);
    expect(node.status.voters.filter(({ id }) => id !== stranger).map(({ lastContactMs }) => lastContactMs)).toEqual([
      -1, -1,
    ]);
    expect((await quorum.leader()).id).toBe(leader.id);
  });

  it('takes no stream that is not meant for it, and says why', async () => {
    quorum = await GrpcQuorum.started(3);
    await quorum.leader();
    const connector = createConnector();
    const endpoint = present(quorum.voters[1], 'voter').endpoint;
    const answerTo = (hello: Partial<internal.RaftHello>): Promise<BarnabasError | undefined> =>
      new Promise((resolve) => {
        const stream = connector.channel(endpoint).client(internal.RaftServiceDefinition).connect();
        stream.handle({ onMessage: () => stream.end(), onClose: resolve });
        const complete = { clusterId: 'castle', from: 1, to: 2, fromDirectory: 'a-disk', ...hello };
        stream.write({ part: { $case: 'hello', hello: complete } });
      });
    expect(await answerTo({ clusterId: 'village' })).toMatchObject({ errorName: 'INCONSISTENT_CLUSTER_ID' });
    expect(await answerTo({ to: 3 })).toMatchObject({ errorName: 'INVALID_REQUEST' });
    const itself = { from: 2, fromDirectory: directoryIdOf('castle', 2) };
    expect(await answerTo(itself)).toMatchObject({ errorName: 'INVALID_REQUEST' });
    // Whoever looks for the quorum does not know who is at an address.
    expect(await answerTo({ from: 9, to: -1 })).toBeUndefined();
    connector.close();
  });

  it('listens to nobody who has not said hello', async () => {
    quorum = await GrpcQuorum.started(3);
    const leader = await quorum.leader();
    const { term } = leader.node.status;
    const connector = createConnector();
    const endpoint = present(quorum.voters[2], 'voter').endpoint;
    const stream = connector.channel(endpoint).client(internal.RaftServiceDefinition).connect();
    const over = new Promise((resolve) => stream.handle({ onMessage: () => undefined, onClose: resolve }));
    const vote = { $case: 'vote', vote: { lastIndex: 1000, lastTerm: 1000, force: true } } as const;
    stream.write({ part: { $case: 'message', message: { term: term + 1000, body: vote } } });
    stream.end();
    await over;
    await leader.node.propose([Buffer.from('a')]);
    await quorum.agree(['a']);
    expect([...quorum.running.values()].every(({ node }) => node.status.term < term + 1000)).toBe(true);
    connector.close();
  });
});
