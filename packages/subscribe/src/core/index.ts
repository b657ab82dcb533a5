export { Subscription } from './subscription.js';
export { keyOf } from './types.js';
export type * from './types.js';
