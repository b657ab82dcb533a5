import { testScenario } from '../test-kit/scenario-tests.js';
import { groupsScenario } from './scenario.js';

// Generous: what else runs on the machine must not fail a simulation.
jest.setTimeout(300_000);

testScenario(groupsScenario, {
  seeds: 40,
  caughtAt: {
    'answer-after-losing-the-lead': 24,
    'assign-before-revoked': 3,
    'every-commit-rewinds': 2,
    'late-rewinds': 3,
    'ignore-incarnations': 5,
    'static-without-fencing': 4,
    'look-at-no-metadata': 76,
    'go-on-after-fencing': 3,
    'rejoin-under-one-incarnation': 11,
  },
});
