export * from './error-table.js';
export * from './errors.js';
export * from './compression/types.js';
export * from './record-batch/types.js';
