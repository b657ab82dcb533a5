/** Bugs on the member's side. */
import { errorFromProto } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { GroupPlant } from './plant.js';

export const goOnAfterFencing: GroupPlant = {
  name: 'go-on-after-fencing',
  says: 'a member that is told that its life is over takes no notice',
  caughtBy: ['fenced'],
  tricks: ['stall', 'cutOff'],
  heard: ({ method, isRequest, message }) => {
    if (method !== 'ConsumerGroupHeartbeat' || isRequest) return message;
    const answer = message as v1.ConsumerGroupHeartbeatResponse;
    const name = answer.error === undefined ? '' : errorFromProto(answer.error).errorName;
    const isOver = (name === 'FENCED_MEMBER_EPOCH' || name === 'UNKNOWN_MEMBER_ID') && answer.memberEpoch > 0;
    return isOver ? { ...answer, error: undefined } : message;
  },
};

export const rejoinUnderOneIncarnation: GroupPlant = {
  name: 'rejoin-under-one-incarnation',
  says: 'a node whose client has gone on elsewhere joins again under the incarnation of that other stream',
  caughtBy: ['one-owner'],
  tricks: ['resume'],
  membership: (options) => ({ ...options, isResumable: false }),
};
