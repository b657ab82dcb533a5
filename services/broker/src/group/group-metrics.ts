/** What a coordinator counts, in Prometheus style; Kafka's names for it in brackets. */
import type { Counter, Histogram, Metrics } from '@barnabas/common';
import type { GroupRecord, GroupState } from '../core/group/index.js';

/** Seconds. */
const LOAD_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300];
const HEARTBEAT_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export const GROUP_STATES: readonly GroupState[] = ['Empty', 'Assigning', 'Reconciling', 'Stable'];

/** Values that are worked out when somebody looks. */
export interface SampledGroups {
  readonly groups: (state: GroupState) => number;
  readonly members: () => number;
  readonly loading: () => number;
  readonly held: () => number;
}

export class GroupMetrics {
  readonly #commits: Counter;
  readonly #expired: Counter;
  readonly #rebalances: Counter;
  readonly #loadSeconds: Histogram;
  readonly #heartbeatSeconds: Histogram;

  constructor(private readonly metrics: Metrics) {
    const counter = (name: string, help: string): Counter => metrics.counter({ name, help });
    this.#commits = counter('barnabas_group_offset_commits_total', 'Offsets committed (OffsetCommitsPerSec).');
    this.#expired = counter(
      'barnabas_group_offset_deletions_total',
      'Offsets that were deleted or have expired (OffsetExpiredPerSec, OffsetDeletionsPerSec).',
    );
    this.#rebalances = counter(
      'barnabas_group_rebalances_total',
      'Target assignments made (consumer-group-rebalance-count).',
    );
    this.#loadSeconds = metrics.histogram({
      name: 'barnabas_group_load_seconds',
      help: 'From the lead of a partition of __consumer_offsets to its first answer (partition-load-time).',
      buckets: LOAD_BUCKETS,
    });
    this.#heartbeatSeconds = metrics.histogram({
      name: 'barnabas_group_heartbeat_seconds',
      help: 'From a heartbeat to its answer, without the time for which the member let it wait.',
      buckets: HEARTBEAT_BUCKETS,
    });
  }

  /** Records that are in the log. */
  wrote(records: readonly GroupRecord[]): void {
    let commits = 0;
    let deletions = 0;
    let rebalances = 0;
    for (const { type, value } of records) {
      if (type === 'offsetCommit') value === undefined ? (deletions += 1) : (commits += 1);
      else if (type === 'target' && value !== undefined) rebalances += 1;
    }
    if (commits > 0) this.#commits.add(commits);
    if (deletions > 0) this.#expired.add(deletions);
    if (rebalances > 0) this.#rebalances.add(rebalances);
  }

  loaded(ms: number): void {
    this.#loadSeconds.observe(ms / 1000);
  }

  heartbeatTook(ms: number): void {
    this.#heartbeatSeconds.observe(ms / 1000);
  }

  sample(read: SampledGroups): void {
    const { metrics } = this;
    for (const state of GROUP_STATES) {
      metrics.sampled(
        {
          name: `barnabas_groups_${state.toLowerCase()}`,
          help: `Groups coordinated here that are ${state} (consumer-group-count).`,
        },
        () => read.groups(state),
      );
    }
    metrics.sampled({ name: 'barnabas_group_members', help: 'Members of groups coordinated here.' }, read.members);
    metrics.sampled(
      { name: 'barnabas_group_partitions_loading', help: 'Partitions of __consumer_offsets that are being loaded.' },
      read.loading,
    );
    metrics.sampled(
      { name: 'barnabas_group_heartbeats_held', help: 'Heartbeats that wait for something to tell their members.' },
      read.held,
    );
  }
}
