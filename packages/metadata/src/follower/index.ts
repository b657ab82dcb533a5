export * from './controller-client.js';
export * from './metadata-follower.js';
