export * from './changes.js';
export * from './delta.js';
export * from './features.js';
export * from './image.js';
export * from './persistent-map.js';
export type * from './publisher.js';
export * from './snapshot.js';
export * from './topic-name.js';
