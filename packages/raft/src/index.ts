export type * from './types.js';
export type * from './peer-message.js';
export type * from './transport/types.js';
