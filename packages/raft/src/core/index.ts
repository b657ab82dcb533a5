/**
 * The pure core of Raft. RaftCore is all that a driver needs.
 *
 * Meant for simulators and tests alone: Rules, whose methods are the decisions on which safety rests.
 * A subclass that breaks one of them can be handed to RaftCore (or to `startRaft`, by its second
 * argument) to see checkers find it. Nothing in production code does, and no configuration leads there.
 *
 *   counting a minority                        majorityOf, or heldByQuorum
 *   committing by an old term's entry          commitsBy
 *   voting twice in a term, or for anybody     grantsVote (node.voteFor notices: answer the message instead)
 *   ignoring the pre-vote's term check         grantsPreVote
 *   applying a snapshot backwards              takesSnapshot
 *   a membership change without a quorum       heldByQuorum; admitsChange for the known single-server bug
 *   a stale lease read                         holdsLease
 * Acknowledging before the disk has it is a matter of the store that the driver is given.
 */
export { EMPTY_STATE } from './node-state.js';
export type { CoreOptions, RecoveredState } from './node-state.js';
export {
  changed,
  decodeConfiguration,
  encodeConfiguration,
  isMembershipChange,
  isPlainText,
  isSame,
  memberOf,
  NO_MEMBERS,
} from './configuration.js';
export type { ChangeRefusal } from './configuration.js';
export type { TransferRefusal } from './leader.js';
export { entryBytes } from './raft-log.js';
export type { RaftLog } from './raft-log.js';
export { RaftCore } from './raft-core.js';
export type { CoreStatus, ReadOptions } from './raft-core.js';
export { Rules } from './rules.js';
export type { Elector } from './rules.js';
export * from './types.js';
export { majorityOf } from './voters.js';
export type { Voters } from './voters.js';
