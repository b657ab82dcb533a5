/** Bugs in what one node makes of what another says, made by changing the message as it arrives. */
import type { internal } from '@barnabas/protocol';
import { LOSS } from './log-plants.js';
import type { ClusterPlant } from './plant.js';

export const neverTruncate: ClusterPlant = {
  name: 'never-truncate',
  says: 'a follower takes a log that parts from its own for one that agrees',
  caughtBy: [...LOSS, 'fault'],
  needs: ['leaderWithoutFollowers', 'isolation', 'kill'],
  heard: ({ method, isRequest, message }) => {
    if (method !== 'Replicate' || isRequest) return message;
    const { parts } = message as internal.ReplicateResponse;
    return { parts: parts.map(agreeing) };
  },
};

export const loseAMetadataRecord: ClusterPlant = {
  name: 'lose-a-metadata-record',
  says: 'now and then a follower of the metadata log misses a record',
  caughtBy: ['images', 'fault'],
  heard: ({ method, isRequest, message }, { dice }) => {
    if (method !== 'FollowMetadata' || isRequest) return message;
    const response = message as internal.FollowMetadataResponse;
    const { part } = response;
    if (part?.$case !== 'records' || dice.below(20) > 0) return message;
    return { ...response, part: { ...part, records: { ...part.records, records: part.records.records.slice(1) } } };
  },
};

export const electAnybody: ClusterPlant = {
  name: 'elect-anybody',
  says: 'the controller elects replicas that are neither in the ISR nor eligible',
  caughtBy: ['election'],
  needs: ['kill', 'isolation', 'leaderWithoutFollowers'],
  controllerConfig: { 'unclean.leader.election.enable': true },
};

function agreeing({ part }: internal.LeaderPart): internal.LeaderPart {
  if (part?.$case !== 'position' || part.position.answer?.$case !== 'diverging') return { part };
  return { part: { ...part, position: { ...part.position, answer: { $case: 'agreed', agreed: {} } } } };
}
