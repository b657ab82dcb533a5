/** Elections, counted by the controller that decided them, when they are committed. */
import type { Metrics } from '@barnabas/common';
import type { ElectionCounts } from '../core/index.js';

export interface ElectionMetrics {
  /** A batch of this controller's own has been committed, so long after it was decided. */
  elected(counts: ElectionCounts, elapsedMs: number): void;
}

export function electionMetrics(metrics: Metrics): ElectionMetrics {
  const seconds = metrics.histogram({
    name: 'barnabas_controller_leader_election_seconds',
    help: 'From the decision to the commit, once for each partition that got another leader (LeaderElectionRateAndTimeMs).',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  });
  const unclean = metrics.counter({
    name: 'barnabas_controller_unclean_leader_elections_total',
    help: 'Partitions that got a leader which may lack committed records (UncleanLeaderElectionsPerSec).',
  });
  return {
    elected(counts, elapsedMs) {
      for (let index = 0; index < counts.elections; index++) seconds.observe(elapsedMs / 1000);
      if (counts.unclean > 0) unclean.add(counts.unclean);
    },
  };
}
