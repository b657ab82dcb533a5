import { testScenario } from '../test-kit/scenario-tests.js';
import { brokerScenario } from './scenario.js';

// Generous: what else runs on the machine must not fail a simulation.
jest.setTimeout(300_000);

testScenario(brokerScenario, {
  seeds: 40,
  caughtAt: {
    'acknowledge-before-sync': 3,
    'forget-log-start': 3,
    'keep-torn-tail': 31,
    'lose-a-write': 8,
    'ignore-sequences': 2,
    'forget-producers': 8,
    'misplace-duplicates': 13,
    'serve-above-high-watermark': 2,
    'confuse-topics': 3,
    'list-uncommitted': 2,
  },
});
