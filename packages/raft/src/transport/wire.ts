/**
 * Messages between voters as they stand in proto/barnabas/internal/v1/raft_service.proto. Sender and
 * receiver are not in the message: they are the ends of the stream, so nobody can speak for another.
 */
import { internal } from '@barnabas/protocol';
import type { Entry, Message, NodeId, SnapshotMark } from '../core/index.js';
import type { PeerMessage } from '../peer-message.js';

type Body = NonNullable<internal.RaftMessage['body']>;

/** An installSnapshot never travels as such: the receiver makes it of the last piece. */
export function toProto(message: Exclude<PeerMessage, { type: 'installSnapshot' }>): internal.RaftMessage {
  return { term: message.term, body: bodyOf(message) };
}

function bodyOf(message: Exclude<PeerMessage, { type: 'installSnapshot' }>): Body {
  switch (message.type) {
    case 'preVote':
      return { $case: 'preVote', preVote: { lastIndex: message.lastIndex, lastTerm: message.lastTerm } };
    case 'preVoteResponse':
      return { $case: 'preVoteResponse', preVoteResponse: { granted: message.granted } };
    case 'vote':
      return { $case: 'vote', vote: { lastIndex: message.lastIndex, lastTerm: message.lastTerm } };
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
      return {
        $case: 'snapshotChunk',
        snapshotChunk: { snapshot, sequence, last, records: message.records.map(bufferOf) },
      };
    }
    case 'snapshotChunkResponse': {
      const { snapshot, nextSequence } = message;
      return { $case: 'snapshotChunkResponse', snapshotChunkResponse: { snapshot, nextSequence } };
    }
  }
}

/** Undefined for a message that this version does not know. Nothing in the result is a view of what was received. */
export function fromProto(received: internal.RaftMessage, from: NodeId, to: NodeId): PeerMessage | undefined {
  const { term, body } = received;
  const envelope = { from, to, term };
  switch (body?.$case) {
    case 'preVote':
      return { type: 'preVote', ...envelope, ...body.preVote };
    case 'preVoteResponse':
      return { type: 'preVoteResponse', ...envelope, ...body.preVoteResponse };
    case 'vote':
      return { type: 'vote', ...envelope, ...body.vote };
    case 'voteResponse':
      return { type: 'voteResponse', ...envelope, ...body.voteResponse };
    case 'append': {
      const { prevIndex, prevTerm, commitIndex } = body.append;
      const entries = body.append.entries.map((entry, at) => entryFromProto(entry, prevIndex + 1 + at));
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
      return { type: 'snapshotChunk', ...envelope, snapshot, sequence, last, records: records.map(copyOf) };
    }
    case 'snapshotChunkResponse': {
      const snapshot = markOf(body.snapshotChunkResponse.snapshot);
      return {
        type: 'snapshotChunkResponse',
        ...envelope,
        snapshot,
        nextSequence: body.snapshotChunkResponse.nextSequence,
      };
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
  const wireKind = kind === 'command' ? internal.RaftEntryKind.COMMAND : internal.RaftEntryKind.NOOP;
  return { term, kind: wireKind, command: bufferOf(command) };
}

function entryFromProto({ term, kind, command }: internal.RaftEntry, index: number): Entry {
  return { index, term, kind: kind === internal.RaftEntryKind.NOOP ? 'noop' : 'command', command: copyOf(command) };
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
