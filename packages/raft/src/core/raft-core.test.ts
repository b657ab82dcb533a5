/** Rules of the core that scenarios (transcripts/) do not show: what is ignored, and what is a fault. */
import type { Random } from '@barnabas/common';
import { EMPTY_STATE, RaftCore } from './index.js';
import type { CoreOptions, Entry, Message, RecoveredState } from './index.js';
import { memberNamed, votersNamed } from './test-kit/test-node.js';

const ELECTION_TICKS = 10;
const shortest: Random = { below: () => 0, float: () => 0 };

function makeCore(overrides: Partial<CoreOptions> = {}, recovered: Partial<RecoveredState> = {}): RaftCore {
  const options = {
    ...{ id: 1, directoryId: memberNamed(1).directoryId, electionTicks: ELECTION_TICKS, heartbeatTicks: 1 },
    ...{ maxAppendBytes: 1000, maxInflightAppends: 4, maxInflightBytes: 4000, keepBehindSnapshotBytes: 0 },
    ...{ leaseDriftTicks: undefined, random: shortest },
    ...overrides,
  };
  return new RaftCore(options, { ...EMPTY_STATE, configuration: votersNamed(1, 2, 3), ...recovered });
}

type Said<M> = M extends Message ? Omit<M, 'fromDirectory' | 'toDirectory'> : never;

/** A message between first disks. */
const said = (message: Said<Message>): Message =>
  ({
    ...message,
    fromDirectory: memberNamed(message.from).directoryId,
    toDirectory: memberNamed(message.to).directoryId,
  }) as Message;

const entries = (...terms: number[]): Entry[] =>
  terms.map((term, at) => ({ index: at + 1, term, kind: 'command', command: new Uint8Array(1) }));

/** Carries out everything and returns what was sent. */
function settle(core: RaftCore): Message[] {
  const sent: Message[] = [];
  for (;;) {
    const ready = core.ready();
    sent.push(...ready.messages, ...(ready.persist?.messages ?? []));
    if (ready.persist === undefined) return sent;
    core.advance();
  }
}

const heartbeat = (term: number, from = 2, commitIndex = 0): Message =>
  said({ type: 'heartbeat', from, to: 1, term, commitIndex, round: 0 });
const vote = (term: number, from = 3): Message =>
  said({ type: 'vote', from, to: 1, term, lastIndex: 99, lastTerm: 99, force: false });

function makeLeader(core: RaftCore): void {
  while (core.status.role === 'follower') core.tick();
  const term = core.status.term + 1;
  core.step(said({ type: 'preVoteResponse', from: 2, to: 1, term, granted: true }));
  settle(core);
  core.step(said({ type: 'voteResponse', from: 2, to: 1, term, granted: true }));
  settle(core);
  expect(core.status).toMatchObject({ role: 'leader', term });
}

describe('a follower that hears its leader', () => {
  it('ignores requests for votes of later terms, and answers again when the leader is silent', () => {
    const core = makeCore();
    core.step(heartbeat(1));
    settle(core);
    core.step(vote(5));
    core.step(said({ type: 'preVote', from: 3, to: 1, term: 5, lastIndex: 99, lastTerm: 99 }));
    expect(settle(core)).toEqual([]);
    expect(core.status).toMatchObject({ term: 1, leaderId: 2 });
    for (let tick = 1; tick <= ELECTION_TICKS; tick++) core.tick();
    core.step(vote(5));
    expect(settle(core)).toContainEqual(said({ type: 'voteResponse', from: 1, to: 3, term: 5, granted: true }));
  });

  it('is a fault when a second one leads the same term', () => {
    const core = makeCore();
    core.step(heartbeat(1, 2));
    expect(() => core.step(heartbeat(1, 3))).toThrow('a term has one leader');
  });

  it('is a fault when it lacks what it had acknowledged', () => {
    const core = makeCore({}, { hardState: { term: 1, votedFor: 2 }, entries: entries(1) });
    expect(() => core.step(heartbeat(1, 2, 2))).toThrow('lost entries that it had acknowledged');
  });
});

describe('a leader', () => {
  it('ignores requests for votes while a majority follows it', () => {
    const core = makeCore();
    makeLeader(core);
    core.step(vote(9));
    expect(core.status).toMatchObject({ role: 'leader', term: 1 });
  });

  it('steps down for a later term in any answer', () => {
    const core = makeCore();
    makeLeader(core);
    core.step(said({ type: 'heartbeatResponse', from: 3, to: 1, term: 7, round: 0 }));
    expect(core.status).toMatchObject({ role: 'follower', term: 7, leaderId: undefined });
    expect(core.propose([new Uint8Array(1)])).toBeUndefined();
    expect(core.read(1)).toBe(false);
  });

  it('is a fault when another leads its term', () => {
    const core = makeCore();
    makeLeader(core);
    expect(() => core.step(heartbeat(1))).toThrow('a term has one leader');
  });

  it('does not count answers of a term that is over', () => {
    const core = makeCore({}, { hardState: { term: 4, votedFor: undefined }, entries: entries(1, 4) });
    makeLeader(core);
    core.step(said({ type: 'appendResponse', from: 2, to: 1, term: 4, result: { ok: true, matchIndex: 3 } }));
    expect(core.status.commitIndex).toBe(0);
    core.step(said({ type: 'appendResponse', from: 2, to: 1, term: 5, result: { ok: true, matchIndex: 3 } }));
    expect(core.status.commitIndex).toBe(3);
  });

  it('tells a follower of no commit beyond what that follower holds', () => {
    const core = makeCore();
    makeLeader(core);
    core.step(said({ type: 'appendResponse', from: 2, to: 1, term: 1, result: { ok: true, matchIndex: 1 } }));
    core.tick();
    const commits = settle(core).flatMap((message) =>
      message.type === 'heartbeat' ? [[message.to, message.commitIndex]] : [],
    );
    expect(commits).toEqual([
      [2, 1],
      [3, 0],
    ]);
  });

  it('goes on leading while a majority answers, whoever it is', () => {
    const core = makeCore();
    makeLeader(core);
    for (let period = 0; period < 10; period++) {
      const from = period % 2 === 0 ? 2 : 3;
      core.step(said({ type: 'heartbeatResponse', from, to: 1, term: 1, round: 0 }));
      for (let tick = 0; tick < ELECTION_TICKS; tick++) core.tick();
    }
    expect(core.status.role).toBe('leader');
  });
});

describe('any node', () => {
  it('ignores messages for others, and for another disk', () => {
    const core = makeCore();
    core.step({ ...heartbeat(1), to: 2 });
    core.step({ ...heartbeat(1), toDirectory: memberNamed(1, 2).directoryId });
    expect(core.status).toMatchObject({ term: 0, leaderId: undefined });
  });

  it('counts no vote from another disk than the voter’s', () => {
    const core = makeCore();
    while (core.status.role === 'follower') core.tick();
    const granted = said({ type: 'preVoteResponse', from: 2, to: 1, term: 1, granted: true });
    core.step({ ...granted, fromDirectory: memberNamed(2, 2).directoryId });
    expect(core.status.role).toBe('preCandidate');
    core.step(granted);
    expect(core.status.role).toBe('candidate');
  });

  it('promises nothing before it is on disk', () => {
    const core = makeCore();
    core.step(vote(3));
    const first = core.ready();
    expect(first.messages).toEqual([]);
    expect(first.persist).toMatchObject({ hardState: { term: 3, votedFor: 3 }, messages: [{ type: 'voteResponse' }] });
    // The next promise waits for the next group, which waits for the first.
    core.step(said({ type: 'heartbeat', from: 3, to: 1, term: 3, commitIndex: 0, round: 0 }));
    expect(core.ready()).toMatchObject({ messages: [], persist: undefined });
    core.advance();
    expect(core.ready().persist?.messages).toMatchObject([{ type: 'heartbeatResponse' }]);
  });

  it('takes back a promise of an earlier term that has not left', () => {
    const core = makeCore();
    core.step(vote(3));
    core.step(vote(4, 2));
    expect(core.ready().persist?.messages).toMatchObject([{ type: 'voteResponse', to: 2, term: 4, granted: true }]);
  });

  it('does not begin with a log from a later term than it remembers', () => {
    expect(() => makeCore({}, { entries: entries(3) })).toThrow('no entry on disk is from a later term');
  });

  it('never stands without a vote, however long it hears nobody', () => {
    const core = makeCore({ id: 9 });
    for (let tick = 0; tick < 100; tick++) core.tick();
    expect([core.status.role, settle(core)]).toEqual(['follower', []]);
  });
});

describe('a snapshot from the leader', () => {
  const configuration = votersNamed(1, 2, 3);
  const install = (index: number, term: number): Message =>
    said({ type: 'installSnapshot', from: 2, to: 1, term: 5, snapshot: { index, term }, configuration });
  const recovered = { hardState: { term: 5, votedFor: undefined }, entries: entries(1, 1, 2) };
  const appendResponse = (matchIndex: number) => ({ type: 'appendResponse', result: { ok: true, matchIndex } });

  it('that the log contains already moves the commit index and keeps the log', () => {
    const core = makeCore({}, recovered);
    core.step(install(2, 1));
    expect(core.status).toMatchObject({ lastIndex: 3, commitIndex: 2, snapshot: { index: 0 } });
    expect(settle(core)).toMatchObject([appendResponse(2)]);
  });

  it('that differs from the log replaces all of it, and is restored when it is on disk', () => {
    const core = makeCore({}, recovered);
    core.step(install(3, 4));
    const first = core.ready();
    expect(first).toMatchObject({ restore: undefined, persist: { snapshot: { index: 3, term: 4 }, entries: [] } });
    core.advance();
    expect(core.ready().restore).toEqual({ index: 3, term: 4 });
    expect(core.status).toMatchObject({ firstIndex: 4, lastIndex: 3, commitIndex: 3 });
  });

  it('that is older than what is committed changes nothing', () => {
    const core = makeCore({}, recovered);
    core.step(install(2, 1));
    settle(core);
    core.step(install(1, 1));
    expect(settle(core)).toMatchObject([appendResponse(2)]);
    expect(core.status.snapshot.index).toBe(0);
  });
});
