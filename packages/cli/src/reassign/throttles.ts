/**
 * What `--throttle` sets and verify removes, as Kafka's tool does: on each topic which replicas are
 * throttled (the leader's side where data comes from, the follower's where it goes to), on each broker
 * taking part how many bytes a second. Pure.
 */
import type { AlterConfigOp, AlterConfigs } from '@barnabas/client';
import type { PartitionReplicas } from './planner.js';

const TOPIC_KEYS = ['leader.replication.throttled.replicas', 'follower.replication.throttled.replicas'] as const;
const BROKER_KEYS = ['leader.replication.throttled.rate', 'follower.replication.throttled.rate'] as const;
/** The longest value of a configuration. */
const MAX_VALUE_LENGTH = 32_767;
const EVERY_REPLICA = '*';

export interface Move extends PartitionReplicas {
  /** Where the replicas are now. */
  readonly before: readonly number[];
}

/** Nothing for partitions that stay where they are. */
export function throttlesFor(moves: readonly Move[], bytesPerSecond: number): readonly AlterConfigs[] {
  const moving = moves.filter(({ before, replicas }) => replicas.some((id) => !before.includes(id)));
  const topics = [...new Set(moving.map(({ topic }) => topic))];
  const brokers = new Set(moving.flatMap(({ before, replicas }) => [...before, ...replicas]));
  const rate = BROKER_KEYS.map((key): AlterConfigOp => ({ key, value: String(bytesPerSecond) }));
  return [
    ...topics.map((name): AlterConfigs => {
      const own = moving.filter(({ topic }) => topic === name);
      const sources = own.flatMap(({ partition, before }) => before.map((broker) => `${partition}:${broker}`));
      const sinks = own.flatMap(({ partition, before, replicas }) =>
        replicas.filter((broker) => !before.includes(broker)).map((broker) => `${partition}:${broker}`),
      );
      const [leader, follower] = TOPIC_KEYS;
      const ops = [
        { key: leader, value: listed(sources) },
        { key: follower, value: listed(sinks) },
      ];
      return { resource: { type: 'topic', name }, ops };
    }),
    ...sorted(brokers).map((broker): AlterConfigs => ({ resource: brokerResource(broker), ops: rate })),
  ];
}

/** Takes away whatever `throttlesFor` may have set. */
export function withoutThrottles(topics: readonly string[], brokers: readonly number[]): readonly AlterConfigs[] {
  const removed = (keys: readonly string[]) => keys.map((key): AlterConfigOp => ({ key, op: 'delete' }));
  return [
    ...topics.map((name): AlterConfigs => ({ resource: { type: 'topic', name }, ops: removed(TOPIC_KEYS) })),
    ...brokers.map((broker): AlterConfigs => ({ resource: brokerResource(broker), ops: removed(BROKER_KEYS) })),
  ];
}

/** A topic of very many partitions is throttled as a whole; replicas in sync are throttled in no case. */
function listed(replicas: readonly string[]): string {
  const text = replicas.join(',');
  return text.length > MAX_VALUE_LENGTH ? EVERY_REPLICA : text;
}

function brokerResource(broker: number): AlterConfigs['resource'] {
  return { type: 'broker', name: String(broker) };
}

function sorted(ids: ReadonlySet<number>): readonly number[] {
  return [...ids].sort((one, other) => one - other);
}
