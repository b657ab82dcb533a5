import { testScenario } from '../test-kit/scenario-tests.js';
import { clusterScenario } from './scenario.js';

// Generous: what else runs on the machine must not fail a simulation.
jest.setTimeout(300_000);

testScenario(clusterScenario, {
  seeds: 40,
  caughtAt: {
    'admit-by-the-watermark-alone': 129,
    'follower-acknowledges-on-append': 83,
    'ignore-pending-admissions': 13,
    'admit-too-early': 6,
    'commit-below-min-isr': 2,
  },
});
