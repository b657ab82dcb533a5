/** Whole nodes: members come and go, the lead is handed over, reads by lease. */
import { TestQuorum, turn } from '../test-kit/test-quorum.js';
import type { QuorumNode } from '../test-kit/test-quorum.js';

const bytes = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text));
const texts = (count: number, prefix = 'c'): string[] => Array.from({ length: count }, (_, at) => `${prefix}${at}`);
const PATIENCE = { timeoutMs: 10_000 };

const idsOf = (list: readonly { readonly id: number }[]): number[] => list.map(({ id }) => id).sort();
const votersOf = ({ node }: QuorumNode): number[] => idsOf(node.status.voters);
const observersOf = ({ node }: QuorumNode): number[] => idsOf(node.status.observers);

let quorum: TestQuorum;
afterEach(() => quorum.stop());

async function propose(...commands: string[]): Promise<void> {
  const leader = await quorum.untilLeader();
  await quorum.settled(leader.node.propose(bytes(...commands)));
}

const untilObserved = (id: number): Promise<unknown> =>
  quorum.until(`node ${id} is observed`, () => quorum.leader !== undefined && observersOf(quorum.leader).includes(id));

describe('a node that joins', () => {
  it('waits without a vote, finds the leader by any controller, and follows', async () => {
    quorum = await TestQuorum.started(3);
    await propose('a');
    const leader = await quorum.untilLeader();
    const follower = leader.id === 1 ? 2 : 1;
    const joiner = await quorum.join(9, [follower]);
    expect(joiner.node.status).toMatchObject({ voters: [], role: 'follower' });
    await quorum.until('it follows', () => joiner.journal.commands.length === 1);
    expect(observersOf(leader)).toEqual([9]);
    const [observer] = leader.node.status.observers;
    expect(observer).toMatchObject({ endpoint: 'host-9:7800', directoryId: joiner.node.status.directoryId });
    const match = (): number | undefined => leader.node.status.observers[0]?.matchIndex;
    await quorum.until('it is seen to hold the log', () => match() === leader.node.status.lastIndex);
    expect(observer?.lastContactMs).toBeLessThan(1000);
    // It has no vote: the quorum of three goes on without it, and it never stands.
    await quorum.crash(9);
    await propose('b');
    await quorum.until('it is forgotten', () => observersOf(leader).length === 0);
  });

  it('follows the next leader without being told', async () => {
    quorum = await TestQuorum.started(3);
    const first = await quorum.untilLeader();
    const joiner = await quorum.join(9, [first.id]);
    await quorum.until('it follows', () => joiner.node.status.leaderId === first.id);
    await quorum.crash(first.id);
    await propose('a');
    await quorum.until('it follows', () => joiner.journal.commands.length === 1);
  });
});

describe('adding a voter', () => {
  it('grows a quorum of one to three and to five, live', async () => {
    quorum = await TestQuorum.started(1, { snapshotAfterBytes: 2_000, keepBehindSnapshotBytes: 0 });
    await propose(...texts(100));
    for (const id of [2, 3, 4, 5]) {
      await quorum.join(id, [1]);
      await untilObserved(id);
      const leader = await quorum.untilLeader();
      const adding = quorum.settled(leader.node.addVoter({ id }, PATIENCE));
      await propose(`while ${id} is added`);
      await adding;
    }
    const leader = await quorum.untilLeader();
    expect(votersOf(leader)).toEqual([1, 2, 3, 4, 5]);
    await quorum.until('all know', () => [...quorum.nodes.values()].every((one) => votersOf(one).length === 5));
    // Two of five may go now, the founder among them.
    await quorum.crash(1);
    await quorum.crash(leader.id === 1 ? 2 : 3);
    await propose('after');
    const expected = [...texts(100), ...[2, 3, 4, 5].map((id) => `while ${id} is added`), 'after'];
    for (const { journal } of quorum.nodes.values()) {
      await quorum.until('all agree', () => journal.commands.length === expected.length);
      expect(journal.commands).toEqual(expected);
    }
  });

  it('is refused for a voter, for a stranger, on a follower, and beside another change', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    const other = quorum.get(leader.id === 1 ? 2 : 1);
    const refused = async (call: Promise<unknown>, errorName: string): Promise<void> =>
      expect(await quorum.settled(call.catch((error: unknown) => error))).toMatchObject({ errorName });
    await refused(leader.node.addVoter({ id: other.id }, PATIENCE), 'DUPLICATE_VOTER');
    await refused(leader.node.addVoter({ id: 9 }, PATIENCE), 'VOTER_NOT_FOUND');
    await refused(other.node.addVoter({ id: 9 }, PATIENCE), 'NOT_CONTROLLER');
    await refused(other.node.removeVoter({ id: 1 }, PATIENCE), 'NOT_CONTROLLER');
    await refused(other.node.transferLeadership(1, PATIENCE), 'NOT_CONTROLLER');
    await refused(leader.node.removeVoter({ id: 9 }, PATIENCE), 'VOTER_NOT_FOUND');
    await refused(leader.node.removeVoter({ id: other.id, directoryId: 'other-disk' }, PATIENCE), 'VOTER_NOT_FOUND');
    await quorum.join(9, [leader.id]);
    await untilObserved(9);
    await refused(leader.node.addVoter({ id: 9, directoryId: 'other-disk' }, PATIENCE), 'VOTER_NOT_FOUND');
    const adding = leader.node.addVoter({ id: 9 }, PATIENCE);
    await refused(leader.node.removeVoter({ id: 9 }, PATIENCE), 'INVALID_REQUEST');
    await refused(leader.node.transferLeadership(other.id, PATIENCE), 'INVALID_REQUEST');
    await quorum.settled(adding);
    expect(votersOf(leader)).toEqual([1, 2, 3, 9]);
  });

  it('ends in time when the new one does not catch up, and goes on from there', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    await propose(...texts(10));
    await quorum.join(9, [leader.id]);
    await untilObserved(9);
    quorum.network.cut(9);
    await propose('more');
    const adding = leader.node.addVoter({ id: 9 }, { timeoutMs: 2_000 });
    await expect(quorum.settled(adding)).rejects.toMatchObject({ errorName: 'REQUEST_TIMED_OUT' });
    expect(votersOf(leader)).toEqual([1, 2, 3]);
    expect(observersOf(leader)).toEqual([9]);
    quorum.network.join();
    await quorum.settled(leader.node.addVoter({ id: 9 }, PATIENCE));
    expect(votersOf(leader)).toEqual([1, 2, 3, 9]);
  });

  it('moves a voter that is reached elsewhere', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    await quorum.settled(leader.node.addVoter({ id: 2, endpoint: 'elsewhere:1' }, PATIENCE));
    const { voters } = leader.node.status;
    expect(voters.find(({ id }) => id === 2)).toMatchObject({ endpoint: 'elsewhere:1' });
  });
});

describe('removing a voter', () => {
  it('shrinks the quorum, and the removed one disturbs nobody', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    const gone = leader.id === 3 ? 2 : 3;
    await quorum.settled(leader.node.removeVoter({ id: gone }, PATIENCE));
    expect(votersOf(leader)).not.toContain(gone);
    const removed = quorum.get(gone);
    await quorum.until('it knows', () => !votersOf(removed).includes(gone));
    const { term } = leader.node.status;
    await quorum.run(10_000);
    expect(leader.node.status).toMatchObject({ role: 'leader', term });
    expect(removed.node.status.role).toBe('follower');
    // It goes on as an observer, and may come back.
    expect(observersOf(leader)).toEqual([gone]);
    await quorum.settled(leader.node.addVoter({ id: gone }, PATIENCE));
    expect(votersOf(leader)).toContain(gone);
  });

  it('that was away meanwhile learns of it when it comes back', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    const gone = leader.id === 3 ? 2 : 3;
    await quorum.crash(gone);
    await quorum.settled(leader.node.removeVoter({ id: gone }, PATIENCE));
    await quorum.run(20_000);
    expect(observersOf(leader)).toEqual([]);
    const back = await quorum.start(gone);
    await quorum.until('it knows', () => !votersOf(back).includes(gone));
    await quorum.until('it follows again', () => back.node.status.leaderId === leader.id);
    expect(leader.node.status.role).toBe('leader');
  });

  it('that leads makes it hand over the lead', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    const committing = leader.node.propose(bytes('a'));
    await quorum.settled(leader.node.removeVoter({ id: leader.id }, PATIENCE));
    await quorum.settled(committing);
    expect(leader.node.status.role).not.toBe('leader');
    const next = await quorum.until('another one leads', () =>
      [...quorum.nodes.values()].find(({ id, journal }) => id !== leader.id && journal.leads !== undefined),
    );
    expect(votersOf(next)).not.toContain(leader.id);
    await quorum.settled(next.node.propose(bytes('b')));
    await quorum.until('it follows as an observer', () => leader.journal.commands.length === 2);
  });

  it('cannot remove the last', async () => {
    quorum = await TestQuorum.started(1);
    const leader = await quorum.untilLeader();
    const removing = quorum.settled(leader.node.removeVoter({ id: 1 }, PATIENCE));
    await expect(removing).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
  });
});

describe('a node whose disk is lost', () => {
  it('is another replica, and replaces its old self by two commands', async () => {
    quorum = await TestQuorum.started(3);
    await propose(...texts(20));
    const leader = await quorum.untilLeader();
    const lost = leader.id === 3 ? 2 : 3;
    const oldDirectory = quorum.get(lost).node.status.directoryId;
    await quorum.crash(lost);
    await quorum.disks.destroy(`node-${lost}`);
    const fresh = await quorum.join(lost, [leader.id]);
    const { directoryId } = fresh.node.status;
    expect(directoryId).not.toBe(oldDirectory);
    // While the old one votes, the new one gets nothing, and is none of the majority.
    await quorum.until('it is seen', () => leader.node.status.observers.some((one) => one.directoryId === directoryId));
    await propose('without it');
    expect(fresh.journal.commands).toEqual([]);
    expect(leader.node.status.observers).toMatchObject([{ id: lost, directoryId, matchIndex: -1 }]);
    const early = leader.node.addVoter({ id: lost, directoryId }, PATIENCE).catch((error: unknown) => error);
    expect(await quorum.settled(early)).toMatchObject({ errorName: 'DUPLICATE_VOTER' });
    await quorum.settled(leader.node.removeVoter({ id: lost, directoryId: oldDirectory }, PATIENCE));
    await quorum.until('it is sent the log', () => fresh.journal.commands.length === 21);
    await quorum.settled(leader.node.addVoter({ id: lost, directoryId }, PATIENCE));
    expect(leader.node.status.voters.find(({ id }) => id === lost)).toMatchObject({ directoryId });
  });
});

describe('handing over the lead', () => {
  it('to a voter, while proposals wait', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    const target = leader.id === 3 ? 1 : leader.id + 1;
    const before = leader.node.propose(bytes('before'));
    const transferring = leader.node.transferLeadership(target, PATIENCE);
    await turn();
    const { nextIndex } = leader.node;
    const during = leader.node.propose(bytes('during')).catch((error: unknown) => error);
    expect(leader.node.nextIndex).toBe(nextIndex + 1);
    expect(await quorum.settled(transferring)).toBe(target);
    await quorum.settled(before);
    // Nothing of it was appended: it can be sent to the new leader.
    expect(await quorum.settled(during)).toMatchObject({ errorName: 'NOT_CONTROLLER' });
    await propose('after');
    expect((await quorum.untilLeader()).id).toBe(target);
    await quorum.until('all agree', () => [...quorum.nodes.values()].every((one) => one.journal.commands.length === 2));
    for (const { journal } of quorum.nodes.values()) expect(journal.commands).toEqual(['before', 'after']);
  });

  it('to the furthest, if none is named', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    const behind = leader.id === 3 ? 2 : 3;
    quorum.network.cut(behind);
    await propose('a');
    const next = await quorum.settled(leader.node.transferLeadership(undefined, PATIENCE));
    expect([leader.id, behind]).not.toContain(next);
  });

  it('is given up when the other is dead, and what waited is done then', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    const target = leader.id === 3 ? 2 : 3;
    await quorum.crash(target);
    const transferring = leader.node.transferLeadership(target, PATIENCE);
    const refused = expect(quorum.settled(transferring)).rejects.toMatchObject({ errorName: 'REQUEST_TIMED_OUT' });
    await turn();
    const during = leader.node.propose(bytes('during'));
    await refused;
    expect(await quorum.settled(during)).toMatchObject({ term: leader.node.status.term });
    expect(leader.journal.leadership).toHaveLength(1);
  });

  it('needs somebody to hand it to', async () => {
    quorum = await TestQuorum.started(1);
    const leader = await quorum.untilLeader();
    const nobody = quorum.settled(leader.node.transferLeadership(undefined, PATIENCE));
    await expect(nobody).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
    const stranger = quorum.settled(leader.node.transferLeadership(7, PATIENCE));
    await expect(stranger).rejects.toMatchObject({ errorName: 'VOTER_NOT_FOUND' });
    expect(await quorum.settled(leader.node.transferLeadership(1, PATIENCE))).toBe(1);
  });
});

describe('reads by lease', () => {
  const leases = { leaseClockDriftMs: 100 };
  const heartbeats = (): number => quorum.network.delivered.get('heartbeat') ?? 0;

  it('ask nobody while the lease lasts, and everybody when it has ended', async () => {
    quorum = await TestQuorum.started(3, leases);
    const leader = await quorum.untilLeader();
    await propose('a');
    await quorum.run(500);
    const before = heartbeats();
    expect(await leader.node.readBarrier({ lease: true })).toBe(leader.node.status.commitIndex);
    await turn();
    expect(heartbeats()).toBe(before);
    // Nobody hears it any more: what was in force ends by itself, before anybody else can be elected.
    quorum.network.cut(leader.id);
    await quorum.run(1_000);
    const late = leader.node.readBarrier({ lease: true }).catch((error: unknown) => error);
    expect(await quorum.settled(late)).toMatchObject({ errorName: 'NOT_CONTROLLER' });
  });

  it('are measured on a clock that goes on while the process stands still', async () => {
    quorum = await TestQuorum.started(3, leases);
    const leader = await quorum.untilLeader();
    await propose('a');
    await quorum.run(500);
    quorum.network.cut(leader.id);
    // As after SIGSTOP: the clock has jumped, not one tick has come, and somebody else leads by now.
    const frozen = quorum.freeze(leader.id);
    await quorum.run(5_000);
    const next = await quorum.until('another one leads', () =>
      [...quorum.nodes.values()].find(({ id, journal }) => id !== leader.id && journal.leads !== undefined),
    );
    await quorum.settled(next.node.propose(bytes('b')));
    expect(leader.node.status.role).toBe('leader');
    let answered = false;
    const read = leader.node.readBarrier({ lease: true }).then(
      () => {
        answered = true;
      },
      () => undefined,
    );
    await turn();
    expect(answered).toBe(false);
    frozen();
    await quorum.settled(read);
    expect(answered).toBe(false);
  });

  it('do not survive a handing over of the lead, even one that was given up', async () => {
    quorum = await TestQuorum.started(3, leases);
    const leader = await quorum.untilLeader();
    await propose('a');
    await quorum.run(500);
    const target = leader.id === 3 ? 2 : 3;
    const transferring = leader.node.transferLeadership(target, PATIENCE).catch(() => undefined);
    await turn();
    const before = heartbeats();
    const read = leader.node.readBarrier({ lease: true }).catch((error: unknown) => error);
    await quorum.settled(Promise.all([transferring, read]));
    expect(heartbeats()).toBeGreaterThan(before);
  });

  it('need to be switched on', async () => {
    quorum = await TestQuorum.started(3);
    const leader = await quorum.untilLeader();
    await quorum.run(500);
    let answered = false;
    const read = leader.node.readBarrier({ lease: true }).then(() => {
      answered = true;
    });
    await turn();
    expect(answered).toBe(false);
    await quorum.settled(read);
    await quorum.stop();
    const config = { leaseClockDriftMs: 600 };
    await expect(TestQuorum.started(1, config)).rejects.toMatchObject({ errorName: 'INVALID_CONFIG' });
  });
});
