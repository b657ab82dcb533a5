/** The barnabas command. Running nodes from a program is @barnabas/cli/node. */
export { main } from './main.js';
export type { MainDependencies } from './main.js';
export type { Terminal } from './terminal/terminal.js';
