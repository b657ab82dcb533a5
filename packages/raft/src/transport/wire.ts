/**
 * Messages between nodes as they stand in proto/barnabas/internal/v1/raft_service.proto. Sender and
 * receiver are not in the message: they are the ends of the stream, so nobody can speak for another.
 */
import { internal } from '@barnabas/protocol';
import { decodeConfiguration, encodeConfiguration, isMembershipChange } from '../core/index.js';
import type { Entry, EntryKind, Message, ReplicaId, SnapshotMark } from '../core/index.js';
import type { CarriedMessage, PeerMessage } from '../peer-message.js';

type Body = NonNullable<internal.RaftMessage['body']>;

const KINDS: Readonly<Record<EntryKind, internal.RaftEntryKind>> = {
  command: internal.RaftEntryKind.COMMAND,
  noop: internal.RaftEntryKind.NOOP,
  addLearner: internal.RaftEntryKind.ADD_LEARNER,
  promote: internal.RaftEntryKind.PROMOTE,
  remove: internal.RaftEntryKind.REMOVE,
  update: internal.RaftEntryKind.UPDATE,
};
const KINDS_BY_NUMBER = new Map(Object.entries(KINDS).map(([kind, number]) => [number, kind as EntryKind]));

/** An installSnapshot never travels as such: the receiver makes it of the last piece. */
export function toProto(message: CarriedMessage): internal.RaftMessage {
  return { term: message.term, body: bodyOf(message) };
}

function bodyOf(message: CarriedMessage): Body {
  switch (message.type) {
    case 'preVote':
      return { $case: 'preVote', preVote: { lastIndex: message.lastIndex, lastTerm: message.lastTerm, force: false } };
    case 'preVoteResponse':
      return { $case: 'preVoteResponse', preVoteResponse: { granted: message.granted } };
    case 'vote':
      return {
        $case: 'vote',
        vote: { lastIndex: message.lastIndex, lastTerm: message.lastTerm, force: message.force },
      };
    case 'voteResponse':
      return { $case: 'voteResponse', voteResponse: { granted: message.granted } };
    case 'append': {
      const { prevIndex, prevTerm, commitIndex } = message;
      return {
        $case: 'append',
        append: { prevIndex, prevTerm, commitIndex, entries: message.entries.map(entryToProto) },
      };
    }
    case 'appendResponse':
      return { $case: 'appendResponse', appendResponse: { result: resultToProto(message.result) } };
    case 'heartbeat':
      return { $case: 'heartbeat', heartbeat: { commitIndex: message.commitIndex, round: message.round } };
    case 'heartbeatResponse':
      return { $case: 'heartbeatResponse', heartbeatResponse: { round: message.round } };
    case 'snapshotChunk': {
      const { snapshot, sequence, last } = message;
      const configuration = bufferOf(encodeConfiguration(message.configuration));
      return {
        $case: 'snapshotChunk',
        snapshotChunk: { snapshot, sequence, last, records: message.records.map(bufferOf), configuration },
      };
    }
    case 'snapshotChunkResponse': {
      const { snapshot, nextSequence } = message;
      return { $case: 'snapshotChunkResponse', snapshotChunkResponse: { snapshot, nextSequence } };
    }
    case 'timeoutNow':
      return { $case: 'timeoutNow', timeoutNow: {} };
    case 'announce':
      return { $case: 'announce', announce: { endpoint: message.endpoint } };
    case 'announceResponse':
      return { $case: 'announceResponse', announceResponse: { voters: [...message.voters] } };
  }
}

/** Undefined for a message that this version does not know. Nothing in the result is a view of what was received. */
export function fromProto(received: internal.RaftMessage, from: ReplicaId, to: ReplicaId): PeerMessage | undefined {
  const { term, body } = received;
  const sender = { from: from.id, fromDirectory: from.directoryId };
  const envelope = { ...sender, to: to.id, toDirectory: to.directoryId, term };
  switch (body?.$case) {
    case 'preVote': {
      const { lastIndex, lastTerm } = body.preVote;
      return { type: 'preVote', ...envelope, lastIndex, lastTerm };
    }
    case 'preVoteResponse':
      return { type: 'preVoteResponse', ...envelope, ...body.preVoteResponse };
    case 'vote':
      return { type: 'vote', ...envelope, ...body.vote };
    case 'voteResponse':
      return { type: 'voteResponse', ...envelope, ...body.voteResponse };
    case 'append': {
      const { prevIndex, prevTerm, commitIndex } = body.append;
      const entries: Entry[] = [];
      for (const entry of body.append.entries) {
        const known = entryFromProto(entry, prevIndex + 1 + entries.length);
        // One of a later version: none behind it can be taken either.
        if (known === undefined) return undefined;
        entries.push(known);
      }
      return { type: 'append', ...envelope, prevIndex, prevTerm, commitIndex, entries };
    }
    case 'appendResponse': {
      const result = resultFromProto(body.appendResponse.result);
      return result && { type: 'appendResponse', ...envelope, result };
    }
    case 'heartbeat':
      return { type: 'heartbeat', ...envelope, ...body.heartbeat };
    case 'heartbeatResponse':
      return { type: 'heartbeatResponse', ...envelope, ...body.heartbeatResponse };
    case 'snapshotChunk': {
      const { sequence, last, records } = body.snapshotChunk;
      const snapshot = markOf(body.snapshotChunk.snapshot);
      const configuration = decodeConfiguration(body.snapshotChunk.configuration);
      const content = { snapshot, sequence, last, records: records.map(copyOf) };
      return configuration && { type: 'snapshotChunk', ...envelope, configuration, ...content };
    }
    case 'snapshotChunkResponse': {
      const snapshot = markOf(body.snapshotChunkResponse.snapshot);
      const { nextSequence } = body.snapshotChunkResponse;
      return { type: 'snapshotChunkResponse', ...envelope, snapshot, nextSequence };
    }
    case 'timeoutNow':
      return { type: 'timeoutNow', ...envelope };
    case 'announce':
      return { type: 'announce', ...sender, term, toEndpoint: '', endpoint: body.announce.endpoint };
    case 'announceResponse': {
      const voters = body.announceResponse.voters.map(({ id, directoryId, endpoint }) => ({
        id,
        directoryId,
        endpoint,
      }));
      return { type: 'announceResponse', ...envelope, voters };
    }
    case undefined:
      return undefined;
  }
}

type AppendResult = Extract<Message, { type: 'appendResponse' }>['result'];

function resultToProto(result: AppendResult): internal.RaftAppendResponse['result'] {
  if (result.ok) return { $case: 'matchIndex', matchIndex: result.matchIndex };
  const { prevIndex, hintIndex, hintTerm } = result;
  return { $case: 'rejected', rejected: { prevIndex, hintIndex, hintTerm } };
}

function resultFromProto(result: internal.RaftAppendResponse['result']): AppendResult | undefined {
  if (result?.$case === 'matchIndex') return { ok: true, matchIndex: result.matchIndex };
  return result && { ok: false, ...result.rejected };
}

function entryToProto({ term, kind, command }: Entry): internal.RaftEntry {
  return { term, kind: KINDS[kind], command: bufferOf(command) };
}

function entryFromProto({ term, kind, command }: internal.RaftEntry, index: number): Entry | undefined {
  const known = KINDS_BY_NUMBER.get(kind);
  if (known === undefined || (isMembershipChange(known) && decodeConfiguration(command) === undefined))
    return undefined;
  return { index, term, kind: known, command: copyOf(command) };
}

function markOf(mark: internal.RaftSnapshotMark | undefined): SnapshotMark {
  return { index: mark?.index ?? 0, term: mark?.term ?? 0 };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function copyOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes);
}
