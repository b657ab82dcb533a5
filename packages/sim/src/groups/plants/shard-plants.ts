/** Bugs in what a coordinator decides. */
import { emptyGroup, partitionKey } from '@barnabas/broker/parts';
import type { CommitRequest, GroupShard, HeartbeatRequest } from '@barnabas/broker/parts';
import type { GroupPlant } from './plant.js';

/** Every heartbeat is changed before it is decided. */
function changeHeartbeats(shard: GroupShard, change: (request: HeartbeatRequest) => HeartbeatRequest): void {
  const { heartbeat } = shard;
  shard.heartbeat = (request, now, image) => heartbeat.call(shard, change(request), now, image);
}

/** Every commit is. */
function changeCommits(shard: GroupShard, change: (request: CommitRequest) => CommitRequest): void {
  const { commitOffsets } = shard;
  shard.commitOffsets = (request, now, image) => commitOffsets.call(shard, change(request), now, image);
}

/** Every commit of a member counts what `count` says of what it counts itself and of what is committed. */
function changeOffsets(shard: GroupShard, count: (asked: number, before: number) => number): void {
  changeCommits(shard, (request) => {
    if (request.memberId === '') return request;
    const committed = shard.group(request.groupId)?.offsets;
    const offsets = request.offsets.map((one) => {
      const before = committed?.get(partitionKey(one.topicId, one.partition));
      if (before === undefined || one.offset >= before.offset) return one;
      return { ...one, rewinds: count(one.rewinds ?? before.rewinds, before.rewinds) };
    });
    return { ...request, offsets };
  });
}

function memberOf(shard: GroupShard, { groupId, memberId }: Pick<HeartbeatRequest, 'groupId' | 'memberId'>) {
  return shard.group(groupId)?.members.get(memberId);
}

export const assignBeforeRevoked: GroupPlant = {
  name: 'assign-before-revoked',
  says: 'a partition is given on as soon as its owner has been told to let it go',
  caughtBy: ['one-owner'],
  tricks: ['crash', 'leave', 'busy'],
  shard: (shard) =>
    changeHeartbeats(shard, (request) => {
      const member = memberOf(shard, request);
      if (member?.state !== 'unrevoked' || request.appliedVersion === undefined) return request;
      return { ...request, owned: [], appliedVersion: member.assignmentVersion };
    }),
};

export const fencedCommits: GroupPlant = {
  name: 'fenced-commits',
  says: 'a commit is taken from whoever makes it',
  caughtBy: ['fenced-commit'],
  tricks: ['stall', 'resume', 'cutOff', 'lie'],
  shard: (shard) =>
    changeCommits(shard, (request) => {
      const [first] = request.offsets;
      const group = shard.group(request.groupId) ?? emptyGroup(request.groupId);
      const owner = first === undefined ? undefined : group.owners.get(partitionKey(first.topicId, first.partition));
      const member = owner === undefined ? undefined : group.members.get(owner);
      if (request.memberId === '' || member === undefined) return request;
      const { id: memberId, epoch: memberEpoch, incarnation, instanceId } = member;
      return { ...request, memberId, memberEpoch, incarnation, instanceId };
    }),
};

export const everyCommitRewinds: GroupPlant = {
  name: 'every-commit-rewinds',
  says: 'a commit that is late takes the place of a later one',
  caughtBy: ['offsets-back'],
  tricks: ['lie', 'resume', 'stall'],
  shard: (shard) => changeOffsets(shard, (_, before) => before + 1),
};

export const lateRewinds: GroupPlant = {
  name: 'late-rewinds',
  says: 'a commit that goes back and is late undoes what was committed after it',
  caughtBy: ['offsets-back'],
  tricks: ['rewind', 'cutOff', 'stall'],
  shard: (shard) => changeOffsets(shard, (asked, before) => (asked > 0 && asked <= before ? before + 1 : asked)),
};

export const ignoreIncarnations: GroupPlant = {
  name: 'ignore-incarnations',
  says: 'a stream of a member that goes on in a later one is not fenced',
  caughtBy: ['told', 'fenced-commit'],
  tricks: ['resume'],
  shard: (shard) => {
    const current = <R extends HeartbeatRequest | CommitRequest>(request: R): R => {
      const incarnation = Math.max(request.incarnation, memberOf(shard, request)?.incarnation ?? 0);
      return { ...request, incarnation };
    };
    changeHeartbeats(shard, current);
    changeCommits(shard, current);
  },
};

export const staticWithoutFencing: GroupPlant = {
  name: 'static-without-fencing',
  says: 'a static member that lives is replaced at once, and may go on',
  caughtBy: ['told', 'fenced-commit', 'one-owner'],
  tricks: ['twin'],
  shard: (shard) =>
    changeHeartbeats(shard, (request) => {
      const group = shard.group(request.groupId);
      const holder = group?.members.get(group.staticMembers.get(request.instanceId ?? '') ?? '');
      if (holder === undefined || holder.id === request.memberId || request.memberEpoch === -1) return request;
      const { id: memberId, incarnation, epoch } = holder;
      return { ...request, memberId, incarnation: incarnation + 1, memberEpoch: request.memberEpoch === 0 ? 0 : epoch };
    }),
};

export const lookAtNoMetadata: GroupPlant = {
  name: 'look-at-no-metadata',
  says: 'a coordinator does not see partitions that are added',
  caughtBy: ['progress'],
  needs: ['morePartitions'],
  shard: (shard) => {
    shard.metadataChanged = () => ({ records: [], response: undefined, nudges: [] });
  },
};

export const neverRemove: GroupPlant = {
  name: 'never-remove',
  says: 'members who are not heard from stay for ever',
  caughtBy: ['progress'],
  tricks: ['crash'],
  shard: (shard) => {
    const { tick } = shard;
    shard.tick = (now, image) => {
      tick.call(shard, now, image);
      return [];
    };
  },
};
