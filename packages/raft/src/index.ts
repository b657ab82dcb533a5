export type * from './types.js';
export type * from './peer-message.js';
export type * from './transport/types.js';
export { RAFT_DEFAULTS } from './config.js';
export { startRaft } from './start-raft.js';
export { createGrpcTransport } from './transport/grpc-transport.js';
export type { GrpcTransportOptions } from './transport/grpc-transport.js';
export { readIdentity } from './storage/recovery.js';
export type { Identity } from './storage/layout.js';
