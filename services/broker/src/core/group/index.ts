/** The group coordinator, pure: see group-shard.ts. */
export { checkAssignment } from './assignor.js';
export type { Assignor, AssignorInput, AssignorMember, AssignorTopic, TargetAssignment } from './assignor.js';
export * from './group-image.js';
export type * from './group-admin.js';
export { MAX_ID_LENGTH, MAX_TOPICS_PER_SUBSCRIPTION, checkGroupId } from './limits.js';
export { GroupShard } from './group-shard.js';
export type { HeartbeatRequest, HeartbeatResponse, MemberAssignment } from './heartbeat-request.js';
export type * from './offsets.js';
export type { TopicPartitionId } from './partition-key.js';
export type { Decision, Now, Nudge } from './plan.js';
export { refusalOf } from './plan.js';
export { rangeAssignor } from './range-assignor.js';
export * from './record.js';
export * from './record-codec.js';
export * from './settings.js';
export { TopicPattern } from './topic-pattern.js';
export { uniformAssignor } from './uniform-assignor.js';
