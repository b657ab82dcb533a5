export * from './controller-client.js';
export * from './controller-directory.js';
export * from './metadata-follower.js';
