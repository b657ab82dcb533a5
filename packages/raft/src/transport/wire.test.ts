import { internal } from '@barnabas/protocol';
import * as fc from 'fast-check';
import type { PeerMessage } from '../peer-message.js';
import { fromProto, toProto } from './wire.js';

type Wire = Exclude<PeerMessage, { type: 'installSnapshot' }>;

const number = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const mark = fc.record({ index: number, term: number });
const candidacy = { lastIndex: number, lastTerm: number };

const entries = fc
  .record({
    prevIndex: fc.nat({ max: 2 ** 40 }),
    content: fc.array(
      fc.record({ term: number, kind: fc.constantFrom('command' as const, 'noop' as const), command: bytes }),
    ),
  })
  .map(({ prevIndex, content }) => ({
    prevIndex,
    entries: content.map((entry, at) => ({ index: prevIndex + 1 + at, ...entry })),
  }));

const body: fc.Arbitrary<object> = fc.oneof(
  fc.record({ type: fc.constantFrom('preVote', 'vote'), ...candidacy }),
  fc.record({ type: fc.constantFrom('preVoteResponse', 'voteResponse'), granted: fc.boolean() }),
  fc
    .record({ rest: fc.record({ type: fc.constant('append'), prevTerm: number, commitIndex: number }), entries })
    .map(({ rest, entries: following }) => ({ ...rest, ...following })),
  fc.record({
    type: fc.constant('appendResponse'),
    result: fc.oneof(
      fc.record({ ok: fc.constant(true), matchIndex: number }),
      fc.record({ ok: fc.constant(false), prevIndex: number, hintIndex: number, hintTerm: number }),
    ),
  }),
  fc.record({ type: fc.constant('heartbeat'), commitIndex: number, round: number }),
  fc.record({ type: fc.constant('heartbeatResponse'), round: number }),
  fc.record({
    type: fc.constant('snapshotChunk'),
    snapshot: mark,
    sequence: fc.nat(),
    last: fc.boolean(),
    records: fc.array(bytes),
  }),
  fc.record({ type: fc.constant('snapshotChunkResponse'), snapshot: mark, nextSequence: fc.nat() }),
);

describe('messages between voters', () => {
  it('arrive as they were sent, from the ends of the stream', () => {
    const message = fc
      .record({ term: number, body })
      .map(({ term, body: rest }) => ({ from: 3, to: 5, term, ...rest }) as Wire);
    fc.assert(
      fc.property(message, (sent) => {
        const encoded = internal.RaftMessage.encode(toProto(sent)).finish();
        expect(fromProto(internal.RaftMessage.decode(encoded), 3, 5)).toEqual(sent);
      }),
      { numRuns: 500 },
    );
  });

  it('keep nothing of the buffer they came in', () => {
    const entry = { index: 1, term: 1, kind: 'command' as const, command: Buffer.from('hello') };
    const sent: Wire = {
      type: 'append',
      from: 1,
      to: 2,
      term: 1,
      prevIndex: 0,
      prevTerm: 0,
      commitIndex: 0,
      entries: [entry],
    };
    const encoded = internal.RaftMessage.encode(toProto(sent)).finish();
    const received = fromProto(internal.RaftMessage.decode(encoded), 1, 2);
    encoded.fill(0);
    expect(received).toEqual(sent);
  });

  it('that this version does not know are ignored', () => {
    expect(fromProto({ term: 1, body: undefined }, 1, 2)).toBeUndefined();
    const response = { $case: 'appendResponse', appendResponse: { result: undefined } } as const;
    expect(fromProto({ term: 1, body: response }, 1, 2)).toBeUndefined();
  });
});
