/** Messages generated from proto/: the public API as v1, the services' own as internal. */
export * as v1 from './messages/v1.js';
export * as internal from './messages/internal.js';

export * from './error-table.js';
export * from './errors.js';
export * from './crc32c.js';
export * from './varint.js';
export * from './coordinator-partition.js';
export * from './compression/index.js';
export * from './record-batch/index.js';
