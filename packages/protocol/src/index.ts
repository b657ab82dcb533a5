/** Messages generated from proto/: the public API as v1, the services' own as internal. */
export * as v1 from './messages/v1.js';
export * as internal from './messages/internal.js';
