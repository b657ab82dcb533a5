/**
 * Who may lead, judged by what the nodes say to each other and show.
 *
 *   one-leader   a term has one leader
 *   votes        a node gives one vote in a term, over crashes too
 *   terms        what a node says is never of an earlier term than what it said before, over crashes too
 *   pre-vote     a node stands for a term only when a majority would vote for it in that very term, and
 *                nobody would who is at or past that term
 */
import type { PeerMessage } from '@barnabas/raft';
import { Violation } from '../../kernel/violation.js';

type Vote = Extract<PeerMessage, { type: 'vote' }>;
type Addressed = Pick<Vote, 'from' | 'fromDirectory' | 'to' | 'toDirectory'>;
type PreVoteResponse = Extract<PeerMessage, { type: 'preVoteResponse' }>;

export class ElectionChecks {
  readonly #leaders = new Map<number, number>();
  /** By `voter in term`. */
  readonly #votes = new Map<string, string>();
  readonly #terms = new Map<string, number>();
  /** Who would vote for a node, by `candidate in term`. */
  readonly #wouldVote = new Map<string, Set<string>>();

  /** `majorityOf`: of those who vote as a node sees it at this moment. */
  constructor(private readonly majorityOf: (nodeId: number) => number) {}

  leads(nodeId: number, term: number): void {
    const other = this.#leaders.get(term) ?? nodeId;
    this.#leaders.set(term, other);
    if (other !== nodeId) throw new Violation('one-leader', 'a term has two leaders', { term, nodeId, other });
  }

  sent(message: PeerMessage): void {
    // A pre-vote is about a term that has not begun, a snapshot's transfer about the one in which it began.
    if (message.type === 'snapshotChunk' || message.type === 'snapshotChunkResponse') return;
    if (message.type === 'preVote') return;
    if (message.type === 'announce' || message.type === 'announceResponse') return;
    if (message.type === 'preVoteResponse') {
      if (message.granted) this.#wouldVoteFor(message);
      return;
    }
    const { term } = message;
    const from = speakerOf(message);
    const before = this.#terms.get(from) ?? 0;
    if (term < before) throw new Violation('terms', 'a node has gone back to an earlier term', { from, term, before });
    this.#terms.set(from, term);
    if (message.type === 'vote') {
      this.#stands(message);
      this.#voted(from, term, from);
    }
    if (message.type === 'voteResponse' && message.granted) this.#voted(from, term, hearerOf(message));
  }

  #wouldVoteFor(message: PreVoteResponse): void {
    const { term } = message;
    const [from, to] = [speakerOf(message), hearerOf(message)];
    const own = this.#terms.get(from) ?? 0;
    if (term <= own)
      throw new Violation('pre-vote', 'a node would vote in a term that it is past', { from, term, own });
    const key = `${to} in ${term}`;
    const known = this.#wouldVote.get(key);
    if (known === undefined) this.#wouldVote.set(key, new Set([to, from]));
    else known.add(from);
  }

  #stands(message: Vote): void {
    // The leader has handed over: nobody is to be asked first.
    if (message.force) return;
    const { term } = message;
    const from = speakerOf(message);
    const asked = this.#wouldVote.get(`${from} in ${term}`)?.size ?? 1;
    const majority = this.majorityOf(message.from);
    if (asked < majority) {
      throw new Violation('pre-vote', 'a node stands that no majority would elect', { from, term, asked, majority });
    }
  }

  #voted(voter: string, term: number, candidate: string): void {
    const other = this.#votes.get(`${voter} in ${term}`) ?? candidate;
    this.#votes.set(`${voter} in ${term}`, other);
    if (other !== candidate) throw new Violation('votes', 'a node has voted twice', { voter, term, candidate, other });
  }
}

/** A node that has lost its disk is another one. */
const speakerOf = ({ from, fromDirectory }: Addressed): string => `${from}@${fromDirectory}`;
const hearerOf = ({ to, toDirectory }: Addressed): string => `${to}@${toDirectory}`;
