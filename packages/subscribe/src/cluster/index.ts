export { FollowedView } from './followed-view.js';
export type { FollowedViewParts } from './followed-view.js';
export { NodeRouting } from './node-routing.js';
export type { NodeRoutingParts } from './node-routing.js';
