export * from './log-config.js';
export * from './types.js';
