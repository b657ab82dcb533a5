/** The replica manager, pure: see replica-manager.ts. */
export * from './assignment.js';
export * from './assignments.js';
export * from './events.js';
export * as group from './group/index.js';
export * from './follow.js';
export type { FollowerPhase, FollowerState } from './follower-state.js';
export type { IsrAnswer, IsrProposal, ProposedMember } from './isr.js';
export type { BrokerView, FollowerReplica, LeaderState } from './leader-state.js';
export { Partition } from './partition.js';
export type { LogState } from './partition.js';
export { PendingProduce } from './pending-produce.js';
export type { Acks, PartitionName, ProduceInput, ProduceOutcome } from './pending-produce.js';
export * as refusals from './refusals.js';
export { ReplicaManager } from './replica-manager.js';
export type { ReplicaManagerOptions } from './replica-manager.js';
