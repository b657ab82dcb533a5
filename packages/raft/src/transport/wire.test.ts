import { internal } from '@barnabas/protocol';
import * as fc from 'fast-check';
import { encodeConfiguration } from '../core/index.js';
import type { CarriedMessage } from '../peer-message.js';
import { fromProto, toProto } from './wire.js';

const THERE = { id: 3, directoryId: 'three' };
const HERE = { id: 5, directoryId: 'five' };
const sender = { from: 3, fromDirectory: 'three' };
const ends = { ...sender, to: 5, toDirectory: 'five' };

const number = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const mark = fc.record({ index: number, term: number });
const candidacy = { lastIndex: number, lastTerm: number };
const members = fc.array(
  fc.record({
    id: fc.nat({ max: 2 ** 31 - 1 }),
    directoryId: fc.stringMatching(/^[A-Za-z0-9_-]{22}$/),
    endpoint: fc.stringMatching(/^[a-z.]{1,20}:[0-9]{4}$/),
  }),
);
const configuration = fc.record({ voters: members, learners: members });
const content = fc.oneof(
  fc.record({ term: number, kind: fc.constantFrom('command' as const, 'noop' as const), command: bytes }),
  fc
    .record({ term: number, kind: fc.constantFrom('addLearner', 'promote', 'remove', 'update'), configuration })
    .map(({ configuration: to, ...rest }) => ({ ...rest, command: Buffer.from(encodeConfiguration(to)) })),
);

const entries = fc
  .record({
    prevIndex: fc.nat({ max: 2 ** 40 }),
    contents: fc.array(content),
  })
  .map(({ prevIndex, contents }) => ({
    prevIndex,
    entries: contents.map((entry, at) => ({ index: prevIndex + 1 + at, ...entry })),
  }));

const body: fc.Arbitrary<object> = fc.oneof(
  fc.record({ type: fc.constant('preVote'), ...candidacy }),
  fc.record({ type: fc.constant('vote'), ...candidacy, force: fc.boolean() }),
  fc.record({ type: fc.constant('timeoutNow') }),
  fc.record({ type: fc.constant('announceResponse'), voters: members }),
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
    configuration,
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
      .map(({ term, body: rest }) => ({ ...ends, term, ...rest }) as CarriedMessage);
    fc.assert(
      fc.property(message, (sent) => {
        const encoded = internal.RaftMessage.encode(toProto(sent)).finish();
        expect(fromProto(internal.RaftMessage.decode(encoded), THERE, HERE)).toEqual(sent);
      }),
      { numRuns: 500 },
    );
  });

  it('keep nothing of the buffer they came in', () => {
    const entry = { index: 1, term: 1, kind: 'command' as const, command: Buffer.from('hello') };
    const sent: CarriedMessage = {
      type: 'append',
      ...ends,
      term: 1,
      prevIndex: 0,
      prevTerm: 0,
      commitIndex: 0,
      entries: [entry],
    };
    const encoded = internal.RaftMessage.encode(toProto(sent)).finish();
    const received = fromProto(internal.RaftMessage.decode(encoded), THERE, HERE);
    encoded.fill(0);
    expect(received).toEqual(sent);
  });

  it('that this version does not know are ignored', () => {
    expect(fromProto({ term: 1, body: undefined }, THERE, HERE)).toBeUndefined();
    const response = { $case: 'appendResponse', appendResponse: { result: undefined } } as const;
    expect(fromProto({ term: 1, body: response }, THERE, HERE)).toBeUndefined();
  });

  it('that hold an entry of a kind that this version does not know are not taken in part', () => {
    const entry = { term: 1, kind: internal.RaftEntryKind.COMMAND, command: Buffer.alloc(0) };
    const append = { prevIndex: 0, prevTerm: 0, commitIndex: 0, entries: [entry, { ...entry, kind: 99 }] };
    expect(fromProto({ term: 1, body: { $case: 'append', append } }, THERE, HERE)).toBeUndefined();
    const nonsense = { ...entry, kind: internal.RaftEntryKind.PROMOTE, command: Buffer.from('nonsense') };
    append.entries = [nonsense];
    expect(fromProto({ term: 1, body: { $case: 'append', append } }, THERE, HERE)).toBeUndefined();
  });

  it('announce a node with where it is reached', () => {
    const sent = { type: 'announce', ...sender, term: 4, toEndpoint: 'b:1', endpoint: 'a:1' } as const;
    expect(fromProto(toProto(sent), THERE, HERE)).toEqual({ ...sent, toEndpoint: '' });
  });
});
