import { testScenario } from '../test-kit/scenario-tests.js';
import { clusterScenario } from './scenario.js';

// Generous: what else runs on the machine must not fail a simulation.
jest.setTimeout(300_000);

testScenario(clusterScenario, {
  seeds: 40,
  caughtAt: {
    'admit-by-the-watermark-alone': 99,
    'append-of-any-epoch': 332,
    'count-earlier-epochs': 23,
    'follower-acknowledges-on-append': 86,
    'ignore-broker-epochs': 44,
    'ignore-leader-epochs': 61,
    'ignore-partition-epochs': 237,
    'ignore-pending-admissions': 3,
  },
});
