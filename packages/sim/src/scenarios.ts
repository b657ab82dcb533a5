/** What can be simulated. */
import { brokerScenario } from './broker/scenario.js';
import type { Scenario } from './kernel/report.js';

export const SCENARIOS: readonly Scenario[] = [brokerScenario];
