import { testScenario } from '../test-kit/scenario-tests.js';
import { groupsScenario } from './scenario.js';

// Generous: what else runs on the machine must not fail a simulation.
jest.setTimeout(300_000);

testScenario(groupsScenario, {
  seeds: 40,
  caughtAt: {
    'answer-after-losing-the-lead': 1,
    'assign-before-revoked': 3,
    'look-at-no-metadata': 2,
    'go-on-after-fencing': 2,
  },
});
