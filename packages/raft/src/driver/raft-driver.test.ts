import { directoryIdOf } from '../storage/format.js';
import { Journal } from '../test-kit/journal.js';
import { TestQuorum, turn } from '../test-kit/test-quorum.js';

const bytes = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text));
const texts = (count: number, prefix = 'c'): string[] => Array.from({ length: count }, (_, at) => `${prefix}${at}`);

describe('a quorum of one', () => {
  it('elects itself, commits, proves reads, and finds everything again after a crash', async () => {
    const quorum = await TestQuorum.started(1);
    const { node, journal } = await quorum.untilLeader();
    expect(node.nextIndex).toBe(2);
    const placed = await node.propose(bytes('x', 'y'), { term: 1 });
    expect(placed).toEqual({ firstIndex: 2, lastIndex: 3, term: 1 });
    expect(journal.commands).toEqual(['x', 'y']);
    expect(await node.readBarrier()).toBe(3);
    expect(node.status).toMatchObject({
      ...{ role: 'leader', leaderId: 1, term: 1, commitIndex: 3, appliedIndex: 3, lastIndex: 3, snapshotIndex: 0 },
      directoryId: directoryIdOf('test', 1),
      voters: [
        { id: 1, directoryId: directoryIdOf('test', 1), endpoint: 'host-1:7800', matchIndex: 3, lastContactMs: 0 },
      ],
      observers: [],
    });
    await quorum.crash(1, { loseAll: true });
    const again = await quorum.start(1);
    await quorum.untilLeader();
    expect(again.journal.leadership).toEqual([2]);
    expect(again.journal.commands).toEqual(['x', 'y']);
    await quorum.stop();
  });

  it('calls nothing before the turn after startRaft has resolved', async () => {
    const quorum = new TestQuorum(1);
    const { journal } = await quorum.start(1);
    await turn();
    expect(journal.leadership).toEqual([]);
    await quorum.stop();
  });

  it('stores what comes during a write together with one next write', async () => {
    const quorum = await TestQuorum.started(1);
    const { node, store, journal } = await quorum.untilLeader();
    let writes = 0;
    const write = store.write.bind(store);
    store.write = (operations, options) => {
      writes++;
      expect(options.sync).toBe(true);
      return write(operations, options);
    };
    const release = store.stallWrites();
    const first = node.propose(bytes('first'));
    await turn();
    expect(writes).toBe(1);
    const others: Promise<unknown>[] = [];
    for (const text of texts(200)) {
      others.push(node.propose(bytes(text)));
      if (others.length % 50 === 0) await turn();
    }
    expect(journal.commands).toEqual([]);
    release();
    await Promise.all([first, ...others]);
    expect(writes).toBe(2);
    expect(journal.commands).toEqual(['first', ...texts(200)]);
    await quorum.stop();
  });

  it('refuses at the door what it cannot take', async () => {
    const quorum = await TestQuorum.started(1, { maxCommandBytes: 10, maxUncommittedBytes: 20 });
    const early = quorum.get(1).node.propose(bytes('x'));
    await expect(early).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
    await expect(quorum.get(1).node.readBarrier()).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
    const { node, journal, store } = await quorum.untilLeader();
    await expect(node.propose([])).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
    await expect(node.propose(bytes('x'.repeat(11)))).rejects.toMatchObject({ errorName: 'MESSAGE_TOO_LARGE' });
    await expect(node.propose(bytes('x'), { term: 7 })).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
    const release = store.stallWrites();
    const taken = [node.propose(bytes('1234567890')), node.propose(bytes('1234567890'))];
    await expect(node.propose(bytes('x'))).rejects.toMatchObject({ errorName: 'THROTTLING_QUOTA_EXCEEDED' });
    release();
    await Promise.all(taken);
    await node.propose(bytes('x'));
    expect(journal.commands).toEqual(['1234567890', '1234567890', 'x']);
    await quorum.stop();
  });

  it('ends with a fault when the disk fails, and answers nothing with success', async () => {
    const quorum = await TestQuorum.started(1);
    const { node, store, journal } = await quorum.untilLeader();
    store.failNextWrite({ applied: true });
    const proposal = node.propose(bytes('x'));
    const barrierAfter = proposal.catch(() => node.readBarrier());
    await expect(node.failed).rejects.toMatchObject({ name: 'StoreError' });
    await expect(proposal).rejects.toMatchObject({ errorName: 'REQUEST_TIMED_OUT' });
    await expect(barrierAfter).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
    await expect(node.propose(bytes('y'))).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
    expect(journal.commands).toEqual([]);
    await quorum.stop();
  });

  it('ends with a fault when the state machine throws', async () => {
    const quorum = await TestQuorum.started(1);
    const { node, journal } = await quorum.untilLeader();
    journal.poison = 'bad';
    const proposals = [node.propose(bytes('good')), node.propose(bytes('bad'))];
    await expect(node.failed).rejects.toThrow('cannot apply bad');
    for (const proposal of proposals) await expect(proposal).rejects.toMatchObject({ errorName: 'REQUEST_TIMED_OUT' });
    await quorum.stop();
  });

  it('rejects what waits when it stops, says that it leads no more, and can be started again', async () => {
    const quorum = await TestQuorum.started(1);
    const { node, journal, store } = await quorum.untilLeader();
    const release = store.stallWrites();
    const proposal = node.propose(bytes('x'));
    await turn();
    const stopping = node.stop();
    await expect(proposal).rejects.toMatchObject({ errorName: 'REQUEST_TIMED_OUT' });
    expect(journal.leadership).toEqual([1, undefined]);
    release();
    await stopping;
    await store.close();
    // Its outcome was unknown; in truth the write went through.
    await quorum.start(1);
    await quorum.untilLeader();
    expect(quorum.get(1).journal.commands).toEqual(['x']);
    await quorum.stop();
  });
});

describe('snapshots of its own', () => {
  const small = { snapshotAfterBytes: 5_000, keepBehindSnapshotBytes: 0, snapshotChunkBytes: 200 };

  it('keep the log short, and a start begins from them', async () => {
    const quorum = await TestQuorum.started(1, small);
    const { node, journal, store } = await quorum.untilLeader();
    for (const text of texts(300)) await node.propose(bytes(text));
    await quorum.until('a snapshot', () => node.status.snapshotIndex > 200);
    await turn();
    const { entries } = await store.readChunk({ gte: Buffer.from('e'), lt: Buffer.from('f'), chunkBytes: 1e9 });
    expect(entries.length).toBeLessThan(100);
    await quorum.crash(1, { loseAll: true });
    const again = await quorum.start(1);
    expect(again.journal.restores).toBe(1);
    await quorum.untilLeader();
    expect(again.journal.commands).toEqual(journal.commands);
    expect(again.journal.commands).toEqual(texts(300));
    await quorum.stop();
  });

  it('that a crash interrupts leave the one before in force', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const quorum = await TestQuorum.started(1, small, seed);
      const { node } = await quorum.untilLeader();
      const acknowledged: string[] = [];
      const crashAt = 40 + quorum.random.below(150);
      for (const text of texts(200)) {
        await node.propose(bytes(text));
        acknowledged.push(text);
        if (acknowledged.length === crashAt) break;
      }
      for (let turns = quorum.random.below(6); turns > 0; turns--) await Promise.resolve();
      await quorum.crash(1);
      const again = await quorum.start(1);
      await quorum.untilLeader();
      expect(again.journal.commands).toEqual(acknowledged);
      await quorum.stop();
    }
  });
});

describe('a quorum of three', () => {
  it('commits on a majority, and followers say who leads', async () => {
    const quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    const done = leader.node.propose(bytes('a', 'b'));
    await quorum.until('all have applied', () =>
      [...quorum.nodes.values()].every((n) => n.journal.commands.length === 2),
    );
    await done;
    const follower = quorum.get(leader.id === 1 ? 2 : 1);
    expect(follower.journal.commands).toEqual(['a', 'b']);
    const refused = follower.node.propose(bytes('c'));
    await expect(refused).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER', facts: { leaderId: leader.id } });
    await expect(refused).rejects.toThrow(`host-${leader.id}:7800`);
    await expect(follower.node.readBarrier()).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
    expect(await quorum.settled(leader.node.readBarrier())).toBe(3);
    expect(leader.node.status.voters.map(({ matchIndex }) => matchIndex)).toEqual([3, 3, 3]);
    expect(leader.node.status.voters.every(({ lastContactMs }) => lastContactMs < 200)).toBe(true);
    await quorum.stop();
  });

  it('tells a leader that is cut off that it leads no more, and its callers that the outcome is unknown', async () => {
    const quorum = await TestQuorum.started(3);
    const old = await quorum.untilLeader();
    quorum.network.cut(old.id);
    const lost = old.node.propose(bytes('lost'));
    const read = old.node.readBarrier();
    const outcomes = Promise.allSettled([lost, read]);
    await quorum.until('the old leader gives up', () => old.journal.leads === undefined);
    expect(await outcomes).toMatchObject([
      { reason: { errorName: 'REQUEST_TIMED_OUT' } },
      { reason: { errorName: 'NOT_CONTROLLER' } },
    ]);
    const next = await quorum.untilLeader();
    expect(next.id).not.toBe(old.id);
    await quorum.settled(next.node.propose(bytes('kept')));
    quorum.network.join();
    await quorum.until('all agree', () => [...quorum.nodes.values()].every((n) => n.journal.commands.length === 1));
    expect(old.journal.commands).toEqual(['kept']);
    expect(old.journal.leadership).toHaveLength(2);
    await quorum.stop();
  });

  it('sends its snapshot in pieces to a node that was away for too long', async () => {
    const config = { snapshotAfterBytes: 3_000, keepBehindSnapshotBytes: 500, snapshotChunkBytes: 100 };
    const quorum = await TestQuorum.started(3, config);
    const leader = await quorum.untilLeader();
    const away = leader.id === 3 ? 2 : 3;
    await quorum.crash(away);
    for (const text of texts(200)) {
      await quorum.settled(leader.node.propose(bytes(text)));
    }
    const back = await quorum.start(away);
    await quorum.until('the node has caught up', () => back.journal.commands.length === 200);
    expect(back.journal.restores).toBe(1);
    expect(back.journal.commands).toEqual(texts(200));
    expect(quorum.network.delivered.get('snapshotChunk')).toBeGreaterThan(3);
    // It starts from the received snapshot as from its own.
    await quorum.crash(away, { loseAll: true });
    const again = await quorum.start(away);
    expect(again.journal.restores).toBe(1);
    await quorum.until('the node has caught up', () => again.journal.commands.length === 200);
    await quorum.stop();
  });

  it('gets a snapshot across a network that loses much', async () => {
    const config = { snapshotAfterBytes: 2_000, keepBehindSnapshotBytes: 0, snapshotChunkBytes: 200 };
    const quorum = await TestQuorum.started(3, config);
    const leader = await quorum.untilLeader();
    const away = leader.id === 3 ? 2 : 3;
    await quorum.crash(away);
    for (const text of texts(100)) {
      await quorum.settled(leader.node.propose(bytes(text)));
    }
    const back = await quorum.start(away);
    quorum.network.lossOneIn = 8;
    await quorum.until('the node has caught up', () => back.journal.commands.length === 100, 120_000);
    expect(back.journal.commands).toEqual(texts(100));
    await quorum.stop();
  });
});

describe('restores of the state machine', () => {
  it('hold back what is committed meanwhile', async () => {
    const config = { snapshotAfterBytes: 2_000, keepBehindSnapshotBytes: 0, snapshotChunkBytes: 200 };
    const quorum = await TestQuorum.started(3, config);
    const leader = await quorum.untilLeader();
    const away = leader.id === 3 ? 2 : 3;
    await quorum.crash(away);
    for (const text of texts(100)) {
      await quorum.settled(leader.node.propose(bytes(text)));
    }
    const restore = Journal.prototype.restore;
    let release: (() => void) | undefined;
    jest.spyOn(Journal.prototype, 'restore').mockImplementation(async function (this: Journal, snapshot) {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      await restore.call(this, snapshot);
    });
    const back = await quorum.start(away);
    await quorum.until('the restore begins', () => release);
    await quorum.settled(leader.node.propose(bytes('more')));
    await quorum.run(500);
    expect(back.journal.commands).toEqual([]);
    expect(back.node.status.appliedIndex).toBeLessThan(back.node.status.commitIndex);
    release?.();
    jest.restoreAllMocks();
    await quorum.until('the node has caught up', () => back.journal.commands.length === 101);
    expect(back.journal.commands).toEqual([...texts(100), 'more']);
    await quorum.stop();
  });
});
