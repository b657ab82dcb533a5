export { FollowedView } from './followed-view.js';
export type { FollowedViewParts } from './followed-view.js';
