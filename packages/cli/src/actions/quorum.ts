/** `barnabas quorum …`: the Raft quorum of the controllers. */
import type { QuorumDescription, QuorumReplica } from '@barnabas/client';
import type { Action } from '../command-context.js';
import { formatTable } from '../terminal/table.js';

interface DescribeFlags {
  readonly status?: boolean;
  readonly replication?: boolean;
}

export const describeQuorum: Action<DescribeFlags> = async (context, _args, { status, replication }) => {
  const quorum = await context.withClient((client) => client.admin().describeQuorum());
  if (context.json) {
    context.output.json(quorum);
    return undefined;
  }
  // Both unless one is asked for.
  const [showStatus, showReplication] = [
    status === true || replication !== true,
    replication === true || status !== true,
  ];
  if (showStatus) for (const line of statusLines(quorum)) context.output.line(line);
  if (showStatus && showReplication) context.output.line('');
  if (showReplication) context.output.line(replicationTable(quorum));
  return undefined;
};

function statusLines(quorum: QuorumDescription): readonly string[] {
  const { voters, observers } = quorum;
  const facts: readonly (readonly [string, string | number])[] = [
    ['cluster', quorum.clusterId],
    ['leader', quorum.leaderId],
    ['term', quorum.leaderEpoch],
    ['high watermark', quorum.highWatermark],
    ['snapshot', quorum.snapshotOffset],
    ['greatest lag of a voter', greatestLag(voters)],
    ['voters', names(voters)],
    ['observers', observers.length === 0 ? 'none' : names(observers)],
  ];
  return facts.map(([what, value]) => `${what.padEnd(24)} ${value}`);
}

function names(replicas: readonly QuorumReplica[]): string {
  return replicas.map(({ id, address, directoryId }) => `${id}@${address}:${directoryId}`).join(', ');
}

function greatestLag(voters: readonly QuorumReplica[]): string {
  const lags = voters.map(({ lag }) => lag);
  return lags.some((lag) => lag < 0) ? 'unknown' : String(Math.max(0, ...lags));
}

function replicationTable({ voters, observers, leaderId }: QuorumDescription): string {
  const row = (replica: QuorumReplica, role: string) => [
    String(replica.id),
    replica.directoryId,
    replica.address,
    replica.id === leaderId && role === 'voter' ? 'leader' : role,
    replica.logEndOffset < 0 ? '?' : String(replica.logEndOffset),
    replica.lag < 0 ? '?' : String(replica.lag),
    replica.lastContactMs < 0 ? 'never' : `${replica.lastContactMs} ms ago`,
  ];
  const rows = [...voters.map((voter) => row(voter, 'voter')), ...observers.map((one) => row(one, 'observer'))];
  return formatTable(['controller', 'directory id', 'address', 'role', 'log end', 'lag', 'last contact'], rows);
}

interface VoterFlags {
  readonly directoryId?: string;
  readonly address?: string;
  readonly timeoutMs: number;
}

export const addVoter: Action<VoterFlags> = async (context, [id = ''], { directoryId, address, timeoutMs }) => {
  const voter = {
    id: Number(id),
    ...(directoryId === undefined ? {} : { directoryId }),
    ...(address === undefined ? {} : { address }),
  };
  await context.withClient((client) => client.admin().addVoter(voter, { timeoutMs }));
  if (context.json) context.output.json({ ...voter, added: true });
  else context.output.line(`controller ${voter.id} votes`);
  return undefined;
};

export const removeVoter: Action<VoterFlags> = async (context, [id = ''], { directoryId, timeoutMs }) => {
  const voter = { id: Number(id), ...(directoryId === undefined ? {} : { directoryId }) };
  await context.withClient((client) => client.admin().removeVoter(voter, { timeoutMs }));
  if (context.json) context.output.json({ ...voter, removed: true });
  else context.output.line(`controller ${voter.id} votes no more`);
  return undefined;
};

export const transferLeader: Action<Pick<VoterFlags, 'timeoutMs'>> = async (context, [id], { timeoutMs }) => {
  const to = id === undefined ? undefined : Number(id);
  const { leaderId } = await context.withClient((client) => client.admin().transferQuorumLeadership(to, { timeoutMs }));
  if (context.json) context.output.json({ leaderId });
  else context.output.line(`controller ${leaderId} leads`);
  return undefined;
};
