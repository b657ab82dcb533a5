export type * from './types.js';
export * from './role.js';
