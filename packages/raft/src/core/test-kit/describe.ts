/** Entries, messages and Readies in words, for transcripts and failing tests. */
import { decodeConfiguration } from '../index.js';
import type { Configuration, Entry, Member, Message, PersistGroup, Ready, SnapshotMark } from '../index.js';
import { textOf } from './test-node.js';

const mark = ({ index, term }: SnapshotMark): string => `${index}/${term}`;

/** index/term "command", or what kind of entry it is, with the configuration that it leads to */
export function describeEntry(entry: Entry): string {
  return `${mark(entry)} ${describeContent(entry)}`;
}

function describeContent({ kind, command }: Entry): string {
  if (kind === 'command') return JSON.stringify(textOf(command));
  const configuration = kind === 'noop' ? undefined : decodeConfiguration(command);
  return configuration === undefined ? kind : `${kind} ${describeConfiguration(configuration)}`;
}

/** {voters | learners}; a member with a disk that is not its first as 2.2 */
export function describeConfiguration({ voters, learners }: Configuration): string {
  const names = (members: readonly Member[]): string =>
    members
      .map(({ id, directoryId }) => (directoryId.endsWith('.1') ? id : directoryId.replace('disk-', '')))
      .join(' ');
  return learners.length === 0 ? `{${names(voters)}}` : `{${names(voters)} | ${names(learners)}}`;
}

const describeEntries = (entries: readonly Entry[]): string => `[${entries.map(describeEntry).join(', ')}]`;

export function describeMessage(message: Message): string {
  return `${message.from}->${message.to} term ${message.term} ${message.type}${detail(message)}`;
}

function detail(message: Message): string {
  switch (message.type) {
    case 'preVote':
    case 'vote':
      return `, log ends ${message.lastIndex}/${message.lastTerm}${message.type === 'vote' && message.force ? ', forced' : ''}`;
    case 'preVoteResponse':
    case 'voteResponse':
      return message.granted ? ' granted' : ' refused';
    case 'append': {
      const { prevIndex, prevTerm, entries, commitIndex } = message;
      return ` after ${prevIndex}/${prevTerm} ${describeEntries(entries)}, commit ${commitIndex}`;
    }
    case 'appendResponse': {
      const { result } = message;
      if (result.ok) return ` match ${result.matchIndex}`;
      return ` rejected after ${result.prevIndex}, hint ${result.hintIndex}/${result.hintTerm}`;
    }
    case 'heartbeat':
      return ` commit ${message.commitIndex}${message.round === 0 ? '' : `, round ${message.round}`}`;
    case 'heartbeatResponse':
      return message.round === 0 ? '' : ` round ${message.round}`;
    case 'installSnapshot':
      return ` ${mark(message.snapshot)}`;
    case 'timeoutNow':
      return '';
  }
}

export function describeReady(ready: Ready): string[] {
  return [
    ...ready.messages.map((message) => `send   ${describeMessage(message)}`),
    ...(ready.restore === undefined ? [] : [`restore ${mark(ready.restore)}`]),
    ...ready.committed.map((entry) => `apply  ${describeEntry(entry)}`),
    ...ready.reads.map(({ id, index }) => `read   ${id} at ${index}`),
    ...ready.readsLost.map((id) => `read   ${id} lost`),
    ...(ready.persist === undefined ? [] : describeGroup(ready.persist)),
  ];
}

function describeGroup({ snapshot, entries, hardState, messages }: PersistGroup): string[] {
  const vote = hardState?.votedFor === undefined ? '' : `, vote ${hardState.votedFor}`;
  return [
    ...(snapshot === undefined ? [] : [`store  snapshot ${mark(snapshot)}`]),
    ...(hardState === undefined ? [] : [`store  term ${hardState.term}${vote}`]),
    ...(entries.length === 0 ? [] : [`store  ${describeEntries(entries)}`]),
    ...messages.map((message) => `  then ${describeMessage(message)}`),
  ];
}
