/**
 * The Raft paper ("In Search of an Understandable Consensus Algorithm", extended version, §5 to §8) and
 * Ongaro's dissertation ("Consensus: Bridging Theory and Practice", chapters 3, 4 and 6), section by
 * section: each test says what the text demands, and cites where. Inputs are those of transcripts.
 */
import { EMPTY_STATE, memberOf, RaftCore } from './index.js';
import type { Entry, Message, NodeId, RoleName } from './index.js';
import { TranscriptRun } from './test-kit/transcript.js';
import { bytesOf, memberNamed, votersNamed } from './test-kit/test-node.js';

/** Nodes are 1 to n; node 1 loses patience after 10 ticks, node 2 after 12, and so on. */
class Scene {
  readonly run = new TranscriptRun();

  constructor(setting: string) {
    this.run.command(`nodes ${setting}`);
  }

  /** Commands of a transcript; returns the output of the last. */
  do(...commands: readonly string[]): string {
    return commands.map((command) => this.run.command(command).join('\n')).at(-1) ?? '';
  }

  /** Node 1 is elected, and all agree. */
  lead(): this {
    this.do('patience 1', 'settle');
    expect(this.role(1)).toBe('leader');
    return this;
  }

  /** A later leader: everybody has lost patience with the one before. */
  elect(id: NodeId, among: readonly NodeId[]): this {
    for (const other of among) if (other !== id) this.do(`tick ${other} 10`);
    this.do(`patience ${id}`, `settle ${among.join(' ')}`);
    expect(this.role(id)).toBe('leader');
    return this;
  }

  core(id: NodeId): RaftCore {
    return this.run.core(id);
  }
  role(id: NodeId): RoleName {
    return this.core(id).status.role;
  }
  term(id: NodeId): number {
    return this.core(id).status.term;
  }
  commit(id: NodeId): number {
    return this.core(id).status.commitIndex;
  }
  terms(id: NodeId): number[] {
    const { firstIndex, lastIndex } = this.core(id).status;
    return Array.from({ length: lastIndex - firstIndex + 1 }, (_, at) => this.core(id).termAt(firstIndex + at) ?? -1);
  }
  applied(id: NodeId): string[] {
    const commands = this.run.node(id).applied.filter(({ kind }) => kind === 'command');
    return commands.map(({ command }) => String.fromCharCode(...command));
  }

  /** Starts a node from a disk with entries of these terms. */
  give(id: NodeId, terms: readonly number[], term: number): void {
    const node = this.run.node(id);
    node.crash();
    node.disk.entries = terms.map((one, at) => entry(at + 1, one, `${at + 1}/${one}`));
    node.disk.hardState = { term, votedFor: undefined };
    node.start();
  }

  /** A message from nowhere. */
  say(message: Said<Message>): void {
    this.core(message.to).step(disks(message));
  }
}

type Said<M> = M extends Message ? Omit<M, 'fromDirectory' | 'toDirectory'> : never;

/** A message between first disks. */
function disks(message: Said<Message>): Message {
  const fromDirectory = memberNamed(message.from).directoryId;
  return { ...message, fromDirectory, toDirectory: memberNamed(message.to).directoryId } as Message;
}

const entry = (index: number, term: number, text = 'x'): Entry => ({
  index,
  term,
  kind: 'command',
  command: bytesOf(text),
});
const vote = { lastIndex: 9, lastTerm: 9, force: false };

describe('paper 5.1, Raft basics', () => {
  it('a server with a smaller term takes on the larger one, and a candidate or leader becomes a follower', () => {
    const scene = new Scene('3').lead();
    scene.say({ type: 'heartbeatResponse', from: 2, to: 1, term: 9, round: 0 });
    expect([scene.role(1), scene.term(1)]).toEqual(['follower', 9]);
    const other = new Scene('3');
    other.do('patience 1', 'ready 1');
    other.say({ type: 'preVoteResponse', from: 2, to: 1, term: 1, granted: true });
    expect(other.role(1)).toBe('candidate');
    other.say({ type: 'append', from: 2, to: 1, term: 4, prevIndex: 0, prevTerm: 0, entries: [], commitIndex: 0 });
    expect([other.role(1), other.term(1), other.core(1).status.leaderId]).toEqual(['follower', 4, 2]);
  });

  it('a request with a stale term is refused', () => {
    const scene = new Scene('3').lead();
    scene.elect(2, [2, 3]);
    scene.say({
      type: 'append',
      from: 1,
      to: 3,
      term: 1,
      prevIndex: 1,
      prevTerm: 1,
      entries: [entry(2, 1)],
      commitIndex: 0,
    });
    expect(scene.terms(3)).toEqual([1, 2]);
    scene.say({ type: 'vote', from: 1, to: 3, term: 1, ...vote });
    expect(scene.core(3).status.votedFor).toBe(2);
  });
});

describe('paper 5.2, leader election', () => {
  it('servers start as followers, and stay followers while they hear a leader', () => {
    const scene = new Scene('3');
    expect([1, 2, 3].map((id) => scene.role(id))).toEqual(['follower', 'follower', 'follower']);
    scene.lead();
    for (let tick = 0; tick < 50; tick++) scene.do('tick 1', 'settle', 'tick 2', 'tick 3');
    expect([scene.role(2), scene.role(3), scene.term(1)]).toEqual(['follower', 'follower', 1]);
  });

  it('a leader sends heartbeats to everybody at every interval', () => {
    const scene = new Scene('3').lead();
    scene.do('tick 1');
    const sent = scene.do('ready 1');
    expect(sent).toContain('1->2 term 1 heartbeat');
    expect(sent).toContain('1->3 term 1 heartbeat');
  });

  it('a candidate raises its term, votes for itself and asks all others', () => {
    const scene = new Scene('3');
    scene.do('patience 1', 'ready 1', 'deliver 1->2', 'ready 2', 'deliver 2->1');
    const stored = scene.do('ready 1');
    expect(stored).toContain('store  term 1, vote 1');
    expect(stored).toContain('then 1->2 term 1 vote');
    expect(stored).toContain('then 1->3 term 1 vote');
  });

  it.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [6, 3],
    [7, 3],
  ])('of %d a candidate needs %d others: it wins by a majority of the whole cluster', (size, needed) => {
    const scene = new Scene(String(size));
    if (size > 1) scene.do('patience 1');
    for (let id = 2; id < 2 + needed; id++)
      scene.say({ type: 'preVoteResponse', from: id, to: 1, term: 1, granted: true });
    scene.do('ready 1', 'store 1');
    for (let id = 2; id < 2 + needed; id++) {
      expect(scene.role(1)).toBe('candidate');
      scene.say({ type: 'voteResponse', from: id, to: 1, term: 1, granted: true });
    }
    expect(scene.role(1)).toBe('leader');
  });

  it('each server votes for at most one candidate in a term, first come first served', () => {
    const scene = new Scene('3');
    scene.say({ type: 'vote', from: 1, to: 3, term: 1, ...vote });
    scene.say({ type: 'vote', from: 2, to: 3, term: 1, ...vote });
    const answers = scene.do('ready 3');
    expect(answers).toContain('3->1 term 1 voteResponse granted');
    expect(answers).toContain('3->2 term 1 voteResponse refused');
  });

  it('a split vote ends in no leader, and a new election in a later term', () => {
    const scene = new Scene('4');
    scene.do('patience 1', 'patience 2', 'ready 1', 'ready 2');
    for (const [id, granted] of [
      [1, [3, 4]],
      [2, [3, 4]],
    ] as const) {
      for (const from of granted) scene.say({ type: 'preVoteResponse', from, to: id, term: 1, granted: true });
    }
    scene.do(
      'ready 1',
      'store 1',
      'ready 2',
      'store 2',
      'drop 1->2',
      'drop 2->1',
      'drop 1->4',
      'drop 2->3',
      'settle 1 3',
      'settle 2 4',
    );
    expect([scene.role(1), scene.role(2)]).toEqual(['candidate', 'candidate']);
    scene.do('tick 1 10', 'tick 3 10', 'tick 4 10', 'settle');
    expect([scene.role(1), scene.term(1)]).toEqual(['leader', 2]);
  });

  it('time-outs are random in [T, 1.5T), drawn anew for each election', () => {
    const draws = [0, 3, 4, 2];
    const random = { below: (bound: number) => (bound === 5 ? (draws.shift() ?? 0) : 0), float: () => 0 };
    const { options, disk } = new Scene('3').run.node(1);
    const core = new RaftCore({ ...options, random }, { ...EMPTY_STATE, configuration: disk.configuration });
    const patience: number[] = [];
    for (let ticks = 1; patience.length < 3; ticks++) {
      core.tick();
      if (core.ready().messages.filter(({ type }) => type === 'preVote').length === 0) continue;
      if (ticks < 10) continue;
      patience.push(ticks);
      ticks = 0;
      // It is heard again and again, and refused: a follower, with patience for another time.
      for (const from of [2, 3]) core.step(disks({ type: 'preVoteResponse', from, to: 1, term: 0, granted: false }));
    }
    expect(patience).toEqual([10, 14, 10]);
  });
});

describe('paper 5.3, log replication', () => {
  it('a command is appended, sent to all in parallel, committed by a majority, then applied everywhere', () => {
    const scene = new Scene('3').lead();
    expect(scene.do('propose 1 a')).toBe('2 to 2, term 1');
    const sent = scene.do('ready 1');
    expect(sent).toContain('1->2 term 1 append after 1/1 [2/1 "a"]');
    expect(sent).toContain('1->3 term 1 append after 1/1 [2/1 "a"]');
    scene.do('store 1');
    expect(scene.commit(1)).toBe(1);
    scene.do('deliver 1->2', 'ready 2', 'store 2', 'deliver 2->1');
    expect(scene.commit(1)).toBe(2);
    scene.do('settle');
    expect([1, 2, 3].map((id) => scene.applied(id))).toEqual([['a'], ['a'], ['a']]);
  });

  it('a commit covers everything before it, entries of earlier leaders included', () => {
    const scene = new Scene('3').lead();
    scene.do('cut 2 3', 'propose 1 a', 'settle 1', 'join', 'crash 1', 'start 1');
    scene.elect(1, [1, 2, 3]);
    expect([scene.terms(1), scene.commit(1)]).toEqual([[1, 1, 2], 3]);
    expect(scene.applied(3)).toEqual(['a']);
  });

  it('a follower takes entries only where it holds the one before, and says so', () => {
    const scene = new Scene('3').lead();
    const append = (prevIndex: number, prevTerm: number, ...entries: Entry[]): string => {
      scene.say({ type: 'append', from: 1, to: 2, term: 1, prevIndex, prevTerm, entries, commitIndex: 0 });
      return scene.do('settle 2', 'ready 2');
    };
    append(5, 1, entry(6, 1));
    append(1, 7, entry(2, 7));
    expect(scene.terms(2)).toEqual([1]);
    append(1, 1, entry(2, 1));
    expect(scene.terms(2)).toEqual([1, 1]);
  });

  // The leader's log of figure 7, and those of its followers (a) to (f).
  const FIGURE_7_LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  it.each([
    ['a', [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ['b', [1, 1, 1, 4]],
    ['c', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ['d', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ['e', [1, 1, 1, 4, 4, 4, 4]],
    ['f', [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
  ])('figure 7: a leader brings follower (%s) into line with its own log', (_, terms) => {
    const scene = new Scene('3');
    scene.give(1, FIGURE_7_LEADER, 7);
    scene.give(2, terms, 7);
    scene.give(3, FIGURE_7_LEADER, 7);
    scene.elect(1, [1, 3]);
    scene.do('tick 1', 'settle', 'tick 1', 'settle');
    expect(scene.terms(2)).toEqual([...FIGURE_7_LEADER, 8]);
    expect(scene.commit(2)).toBe(FIGURE_7_LEADER.length + 1);
  });

  it('a leader never overwrites or deletes entries of its own log', () => {
    const scene = new Scene('3').lead();
    scene.do('cut 2 3', 'propose 1 a b', 'settle 1', 'join', 'crash 1', 'start 1');
    scene.elect(1, [1, 2, 3]);
    expect(scene.terms(1)).toEqual([1, 1, 1, 2]);
  });
});

describe('paper 5.4.1, election restriction', () => {
  // (terms of the voter's log, last entry of the candidate)
  it.each([
    [[1], 1, 1, true],
    [[1], 2, 1, true],
    [[1, 1], 1, 1, false],
    [[1, 1], 1, 2, true],
    [[1, 2], 1, 2, false],
    [[1, 2], 5, 1, false],
    [[2], 2, 1, false],
  ])('a voter with terms %j and a candidate that ends at %d of term %d', (terms, lastIndex, lastTerm, granted) => {
    const scene = new Scene('3');
    scene.give(2, terms, 2);
    scene.say({ type: 'vote', from: 1, to: 2, term: 3, lastIndex, lastTerm, force: false });
    expect(scene.do('ready 2')).toContain(granted ? 'granted' : 'refused');
  });
});

describe('paper 5.4.2, entries from previous terms', () => {
  it('figure 8: an entry of an earlier term on a majority is not committed by counting, and may be replaced', () => {
    const scene = new Scene('5');
    // (c) S1 leads term 4 and has brought the entry of term 2 to S3; S5 holds one of term 3.
    for (const id of [1, 2]) scene.give(id, [1, 2], 3);
    for (const id of [3, 4]) scene.give(id, [1], 3);
    scene.give(5, [1, 3], 3);
    scene.do('cut 4 5');
    scene.do('tick 2 10', 'tick 3 10', 'patience 1', 'settle 2 3');
    scene.say({ type: 'preVoteResponse', from: 4, to: 1, term: 4, granted: true });
    scene.do('settle 1 2 3');
    expect([scene.role(1), scene.commit(1)]).toEqual(['leader', 3]);
    // Entry 2 of term 2 is committed with entry 3 of term 4, and only so.
    const counting = new Scene('3');
    counting.give(1, [1, 2], 3);
    counting.give(2, [1, 2], 3);
    counting.give(3, [1], 3);
    counting.do('tick 2 10', 'patience 1', 'cut 3', 'settle 1 2');
    expect(counting.terms(1)).toEqual([1, 2, 4]);
    expect(counting.commit(1)).toBe(3);
    // An answer that covers the old entry alone commits nothing.
    const alone = new Scene('3');
    alone.give(1, [1, 2], 3);
    alone.do('patience 1');
    alone.say({ type: 'preVoteResponse', from: 2, to: 1, term: 4, granted: true });
    alone.do('ready 1', 'store 1');
    alone.say({ type: 'voteResponse', from: 2, to: 1, term: 4, granted: true });
    alone.say({ type: 'appendResponse', from: 2, to: 1, term: 4, result: { ok: true, matchIndex: 2 } });
    expect([alone.role(1), alone.commit(1)]).toEqual(['leader', 0]);
    alone.do('ready 1', 'store 1');
    alone.say({ type: 'appendResponse', from: 2, to: 1, term: 4, result: { ok: true, matchIndex: 3 } });
    expect(alone.commit(1)).toBe(3);
  });
});

describe('paper 5.5, follower and candidate crashes', () => {
  it('requests are idempotent: one that comes twice, or late, changes nothing', () => {
    const scene = new Scene('3').lead();
    scene.do('propose 1 a b', 'settle');
    const old = { type: 'append', from: 1, to: 2, term: 1, prevIndex: 1, prevTerm: 1, commitIndex: 1 } as const;
    scene.say({ ...old, entries: [entry(2, 1, 'a')] });
    scene.say({ ...old, entries: [] });
    expect([scene.terms(2), scene.commit(2), scene.applied(2)]).toEqual([[1, 1, 1], 3, ['a', 'b']]);
  });

  it('a server keeps its term, vote and log over a crash', () => {
    const scene = new Scene('3').lead();
    scene.do('propose 1 a', 'settle', 'crash 2', 'start 2');
    expect(scene.core(2).status).toMatchObject({ term: 1, votedFor: 1, lastIndex: 2, role: 'follower' });
    scene.say({ type: 'vote', from: 3, to: 2, term: 1, ...vote });
    expect(scene.do('ready 2')).toContain('2->3 term 1 voteResponse refused');
  });
});

describe('paper 6 and dissertation 4.2.3, disruptive servers', () => {
  it('a server that hears a leader disregards requests for votes', () => {
    const scene = new Scene('3').lead();
    scene.do('tick 2 9');
    scene.say({ type: 'vote', from: 3, to: 2, term: 7, ...vote });
    expect(scene.term(2)).toBe(1);
    scene.do('tick 2 1');
    scene.say({ type: 'vote', from: 3, to: 2, term: 7, ...vote });
    expect([scene.term(2), scene.core(2).status.votedFor]).toEqual([7, 3]);
  });
});

describe('paper 7, log compaction', () => {
  it('a server snapshots what it has applied, on its own, and forgets the log behind it', () => {
    const scene = new Scene('3').lead();
    scene.do('propose 1 a b', 'settle', 'compact 2');
    expect(scene.core(2).status).toMatchObject({ snapshot: { index: 3, term: 1 }, firstIndex: 4 });
    expect(scene.core(1).status.snapshot.index).toBe(0);
    scene.do('propose 1 c', 'settle', 'crash 2', 'start 2', 'tick 1', 'settle');
    expect(scene.applied(2)).toEqual(['a', 'b', 'c']);
  });

  it('a leader sends its snapshot to whoever needs what it has forgotten', () => {
    const scene = new Scene('3').lead();
    scene.do('cut 3', 'propose 1 a b', 'settle 1 2', 'compact 1', 'join', 'tick 1', 'settle');
    expect([scene.core(3).status.snapshot.index, scene.applied(3)]).toEqual([3, ['a', 'b']]);
  });

  it('a snapshot of a prefix of the log leaves what follows it', () => {
    const scene = new Scene('3').lead();
    scene.do('propose 1 a b c', 'settle 1 2 3');
    const configuration = votersNamed(1, 2, 3);
    scene.say({ type: 'installSnapshot', from: 1, to: 2, term: 1, snapshot: { index: 2, term: 1 }, configuration });
    expect(scene.terms(2)).toEqual([1, 1, 1, 1]);
  });
});

describe('paper 8 and dissertation 6.4, client interaction', () => {
  it('a leader begins its term with an entry without a command, and so learns what is committed', () => {
    const scene = new Scene('3').lead();
    expect(scene.terms(1)).toEqual([1]);
    scene.do('propose 1 a', 'settle 1 2', 'crash 1');
    scene.elect(2, [2, 3]);
    expect([scene.terms(2), scene.commit(2)]).toEqual([[1, 1, 2], 3]);
  });

  it('a read waits for an entry of the leader’s term, and for a majority that confirms the leader', () => {
    const scene = new Scene('3');
    scene.do('patience 1', 'ready 1', 'deliver 1->2', 'ready 2', 'deliver 2->1', 'ready 1', 'store 1');
    scene.do('deliver 1->2', 'ready 2', 'store 2', 'deliver 2->1');
    expect(scene.role(1)).toBe('leader');
    scene.do('read 1 7');
    expect(scene.do('ready 1')).not.toContain('heartbeat');
    scene.do('store 1', 'deliver 1->2', 'ready 2', 'store 2', 'deliver 2->1');
    expect(scene.do('ready 1')).toContain('heartbeat commit 1, round 1');
    expect(scene.do('ready 1')).not.toContain('read');
    scene.do('deliver 1->2', 'ready 2', 'store 2');
    expect(scene.do('deliver 2->1', 'ready 1')).toContain('read   7 at 1');
  });

  it('a leader that was succeeded cannot prove a read', () => {
    const scene = new Scene('3').lead();
    scene.do('cut 1');
    scene.elect(2, [2, 3]);
    scene.do('read 1 7', 'settle 1');
    scene.do('tick 1 20');
    expect(scene.do('ready 1')).toContain('read   7 lost');
  });
});

describe('dissertation 3.10, leadership transfer', () => {
  it('the leader takes no proposals, brings the target up to date, and tells it to stand', () => {
    const scene = new Scene('3').lead();
    scene.do('cut 3', 'propose 1 a', 'settle 1 2', 'join');
    expect(scene.do('transfer 1 3')).toBe('to 3');
    expect(scene.do('propose 1 b')).toBe('refused');
    scene.do('tick 1', 'settle');
    expect([scene.role(3), scene.term(3), scene.applied(3)]).toEqual(['leader', 2, ['a']]);
  });

  it('is given up after an election time-out', () => {
    const scene = new Scene('3').lead();
    scene.do('crash 3', 'transfer 1 3');
    for (let tick = 0; tick < 10; tick++) scene.do('tick 1', 'settle');
    expect([scene.role(1), scene.do('propose 1 a')]).toEqual(['leader', '2 to 2, term 1']);
  });
});

describe('dissertation 4.1, safety of single-server changes', () => {
  it('a configuration is in force when it is in the log, not when it is committed', () => {
    const scene = new Scene('4 of 3').lead();
    scene.do('observe 1 4', 'settle', 'cut 2 3', 'remove 1 3');
    expect(scene.core(1).status).toMatchObject({ configuration: votersNamed(1, 2), commitIndex: 1 });
    scene.do('settle 1', 'join', 'tick 1', 'settle');
    expect(scene.core(2).status.configuration).toEqual(votersNamed(1, 2));
  });

  it('a server goes back to the configuration before when the entry is taken from its log', () => {
    const scene = new Scene('3').lead();
    scene.do('cut 1', 'remove 1 3', 'settle 1');
    scene.elect(2, [2, 3]);
    scene.do('join', 'tick 2', 'settle');
    expect(scene.core(1).status.configuration).toEqual(votersNamed(1, 2, 3));
  });

  it('a change waits for the one before', () => {
    const scene = new Scene('5').lead();
    scene.do('remove 1 5');
    expect(scene.do('remove 1 4')).toBe('refused: busy');
    scene.do('settle');
    expect(scene.do('remove 1 4')).toContain('remove {1 2 3}');
  });

  it('and for an entry of the leader’s own term (the bug of 2015)', () => {
    const scene = new Scene('3').lead();
    scene.do(
      'crash 1',
      'tick 3 10',
      'patience 2',
      'ready 2',
      'deliver 2->3',
      'ready 3',
      'deliver 3->2',
      'ready 2',
      'store 2',
    );
    scene.do('deliver 2->3', 'ready 3', 'store 3', 'deliver 3->2');
    expect([scene.role(2), scene.do('remove 2 1')]).toEqual(['leader', 'refused: busy']);
    scene.do('settle');
    expect(scene.do('remove 2 1')).toContain('remove {2 3}');
  });

  it('servers answer whoever asks, whatever their own configuration says', () => {
    const scene = new Scene('4 of 3');
    scene.say({ type: 'vote', from: 4, to: 1, term: 1, ...vote });
    expect(scene.do('ready 1')).toContain('1->4 term 1 voteResponse granted');
    scene.say({
      type: 'append',
      from: 3,
      to: 4,
      term: 1,
      prevIndex: 0,
      prevTerm: 0,
      entries: [entry(1, 1)],
      commitIndex: 0,
    });
    expect(scene.do('ready 4')).toContain('4->3 term 1 appendResponse match 1');
  });

  it('changes stand in snapshots, and are found again by a server that crashes', () => {
    const scene = new Scene('3').lead();
    scene.do('remove 1 3', 'settle', 'compact 1', 'crash 1', 'start 1', 'crash 2', 'start 2');
    expect([1, 2].map((id) => scene.core(id).status.configuration)).toEqual([votersNamed(1, 2), votersNamed(1, 2)]);
    expect(memberOf(scene.core(1).status.configuration, 3)).toBeUndefined();
  });
});

describe('dissertation 4.2.1, catching up new servers', () => {
  it('a new server joins without a vote and is counted for nothing', () => {
    const scene = new Scene('4 of 3').lead();
    scene.do('observe 1 4', 'settle', 'add 1 4', 'settle', 'cut 2 3', 'propose 1 a', 'settle 1 4');
    // On two disks of four, but on one of three voters.
    expect([scene.core(4).status.lastIndex, scene.commit(1)]).toEqual([3, 2]);
    scene.do('tick 4 50');
    expect(scene.role(4)).toBe('follower');
  });

  it('it votes only after it has caught up', () => {
    const scene = new Scene('4 of 3').lead();
    scene.do('observe 1 4', 'add 1 4', 'settle 1 2 3');
    expect(scene.do('promote 1 4')).toBe('refused: behind');
    scene.do('settle', 'tick 1', 'settle');
    expect(scene.do('promote 1 4')).toContain('promote {1 2 3 4}');
  });
});

describe('dissertation 4.2.2, removing the current leader', () => {
  it('it leads on, counts itself for nothing, and steps down when its removal is committed', () => {
    const scene = new Scene('3').lead();
    scene.do('remove 1 1', 'ready 1', 'store 1', 'deliver 1->2', 'ready 2', 'store 2', 'deliver 2->1');
    expect([scene.role(1), scene.commit(1)]).toEqual(['leader', 1]);
    scene.do('deliver 1->3', 'ready 3', 'store 3', 'deliver 3->1');
    expect([scene.role(1), scene.commit(1)]).toEqual(['follower', 2]);
    scene.do('settle');
    expect(['leader', 'follower']).toEqual([scene.role(2), scene.role(3)]);
  });
});

describe('dissertation 6.4.1, reads by lease', () => {
  it('the lease is shorter than an election time-out, and renewed by answers to heartbeats', () => {
    const scene = new Scene('3 drift 2').lead();
    scene.do('tick 1', 'settle', 'tick 1 5', 'read 1 1 lease');
    expect(scene.do('ready 1')).toContain('read   1 at 1');
    scene.do('tick 1', 'read 1 2 lease');
    expect(scene.do('ready 1')).not.toContain('read');
    scene.do('settle', 'tick 1', 'settle', 'read 1 3 lease');
    expect(scene.do('ready 1')).toContain('read   3 at 1');
  });

  it('a transfer of the lead ends it', () => {
    const scene = new Scene('3 drift 2').lead();
    scene.do('tick 1', 'settle', 'transfer 1 2', 'read 1 1 lease');
    expect(scene.do('ready 1')).not.toContain('read');
  });
});

describe('dissertation 9.6, pre-vote', () => {
  it('a server that was cut off comes back without raising anybody’s term', () => {
    const scene = new Scene('3').lead();
    scene.do('cut 3', 'tick 3 100', 'join', 'tick 1', 'settle');
    expect([scene.role(1), scene.term(1), scene.role(3)]).toEqual(['leader', 1, 'follower']);
  });
});
