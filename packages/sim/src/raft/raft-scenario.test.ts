import { testScenario } from '../test-kit/scenario-tests.js';
import { raftScenario } from './scenario.js';

// Generous: what else runs on the machine must not fail a simulation.
jest.setTimeout(300_000);

testScenario(raftScenario, {
  seeds: 40,
  caughtAt: {
    'vote-twice': 2,
    'ignore-pre-vote-term': 6,
    'count-refused-votes': 2,
    'elect-the-ignorant': 5,
    'count-a-minority': 11,
    'commit-by-an-old-term': 85,
    'send-something-else': 2,
    'store-something-else': 3,
    'stale-lease-read': 12,
  },
});
