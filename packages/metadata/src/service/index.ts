export * from './admin-forwarder.js';
export type { LocalReplicas } from './describe-replicas.js';
export * from './metadata-service.js';
