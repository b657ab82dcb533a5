export { EMPTY_STATE } from './node-state.js';
export type { CoreOptions, RecoveredState } from './node-state.js';
export { entryBytes } from './raft-log.js';
export { RaftCore } from './raft-core.js';
export type { CoreStatus } from './raft-core.js';
export * from './types.js';
