/** Running nodes from a program: the composition root behind `barnabas start`. */
export { startNode } from './start-node.js';
export type { NodeOptions, RunningNode } from './start-node.js';
export { ROLES } from './role-set.js';
export type { RoleName } from './role-set.js';
