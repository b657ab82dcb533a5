/** What can be simulated. */
import { brokerScenario } from './broker/scenario.js';
import { clusterScenario } from './cluster/scenario.js';
import { groupsScenario } from './groups/scenario.js';
import type { Scenario } from './kernel/report.js';
import { raftScenario } from './raft/scenario.js';

export const SCENARIOS: readonly Scenario[] = [brokerScenario, raftScenario, clusterScenario, groupsScenario];
