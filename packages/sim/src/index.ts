export type { RunFailure, RunOptions, RunReport, Scenario } from './kernel/report.js';
export { runSeeds } from './run-seeds.js';
export { SCENARIOS } from './scenarios.js';
