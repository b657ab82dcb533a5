export * from './errors.js';
export { levelStoreFactory } from './level-store-factory.js';
export * from './memory-store.js';
export * from './memory-store-factory.js';
export * from './types.js';
