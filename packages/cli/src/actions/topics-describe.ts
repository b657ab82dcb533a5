/**
 * `barnabas topics describe`: what metadata say of partitions, with what their leaders say of replicas.
 * A leader that does not answer leaves its partitions without offsets and lag; the rest is shown.
 */
import type { Admin, PartitionDescription, PartitionReplicas, TopicDescription } from '@barnabas/client';
import type { Action } from '../command-context.js';
import { formatTable } from '../terminal/table.js';
import { count } from '../text/quantities.js';

interface DescribeFlags {
  readonly underReplicated?: boolean;
  readonly unavailable?: boolean;
  readonly underMinIsr?: boolean;
  readonly atMinIsr?: boolean;
}

export const describeTopics: Action<DescribeFlags> = async (context, names, flags) => {
  const described = await context.withClient(async (client) => {
    const admin = client.admin();
    // Of what needs a look, topics of the cluster's own are no exception: groups stand still without theirs.
    const topics =
      names.length === 0 ? await admin.listTopics({ internal: hasFilter(flags) }) : await admin.describeTopics(names);
    return Promise.all((await chosen(admin, topics, flags)).map((topic) => withReplicas(admin, topic)));
  });
  if (context.json) {
    context.output.json(described);
    return undefined;
  }
  if (described.length === 0)
    context.note(hasFilter(flags) ? `no partition is ${filterText(flags)}` : 'there are no topics');
  described.forEach((topic, index) => {
    if (index > 0) context.output.line('');
    context.output.line(`${topic.name}: ${count(topic.partitions.length, 'partition')}, topic id ${topic.topicId}`);
    const head = ['partition', 'leader', 'epoch', 'replicas', 'isr', 'elr', 'lag', 'begin', 'end'];
    context.output.line(formatTable(head, topic.partitions.map(rowOf)));
  });
  return undefined;
};

// ---- which

function hasFilter({ underReplicated, unavailable, underMinIsr, atMinIsr }: DescribeFlags): boolean {
  return [underReplicated, unavailable, underMinIsr, atMinIsr].includes(true);
}

function filterText({ underReplicated, unavailable, underMinIsr, atMinIsr }: DescribeFlags): string {
  const texts = [
    underReplicated === true && 'under-replicated',
    unavailable === true && 'without a leader',
    underMinIsr === true && 'below min.insync.replicas',
    atMinIsr === true && 'at min.insync.replicas',
  ];
  return texts.filter((text) => text !== false).join(' or ');
}

/** The partitions that one of the flags names, and the topics that have such; everything if there is none. */
async function chosen(
  admin: Admin,
  topics: readonly TopicDescription[],
  flags: DescribeFlags,
): Promise<readonly TopicDescription[]> {
  if (!hasFilter(flags) || topics.length === 0) return topics;
  const minimum = flags.underMinIsr === true || flags.atMinIsr === true ? await minIsrOf(admin, topics) : undefined;
  const isChosen = (topic: TopicDescription, partition: PartitionDescription) => {
    const least = minimum?.get(topic.name) ?? Number.NaN;
    return (
      (flags.underReplicated === true && isUnderReplicated(partition)) ||
      (flags.unavailable === true && partition.leader < 0) ||
      (flags.underMinIsr === true && partition.isr.length < least) ||
      (flags.atMinIsr === true && partition.isr.length === least)
    );
  };
  return topics
    .map((topic) => ({ ...topic, partitions: topic.partitions.filter((partition) => isChosen(topic, partition)) }))
    .filter(({ partitions }) => partitions.length > 0);
}

/** As Kafka counts: replicas that a reassignment adds are not missed yet. */
function isUnderReplicated({ replicas, isr, addingReplicas }: PartitionDescription): boolean {
  return isr.length < replicas.length - addingReplicas.length;
}

async function minIsrOf(admin: Admin, topics: readonly TopicDescription[]): Promise<ReadonlyMap<string, number>> {
  const resources = topics.map(({ name }) => ({ type: 'topic', name }) as const);
  const described = await admin.describeConfigs(resources, { keys: ['min.insync.replicas'] });
  return new Map(described.map(({ resource, entries }) => [resource.name, Number(entries[0]?.value ?? 1)]));
}

// ---- how far

/** A partition whose leader does not answer in this time is shown without offsets. */
const LEADERS_TIMEOUT_MS = 5_000;

type Described = PartitionDescription & {
  readonly beginningOffset: number | null;
  readonly endOffset: number | null;
  /** Of the replica that is furthest behind; null if unknown. */
  readonly lag: number | null;
  readonly replicaStates: PartitionReplicas['replicas'];
};

async function withReplicas(admin: Admin, topic: TopicDescription) {
  const led = topic.partitions.filter(({ leader }) => leader >= 0).map(({ partition }) => partition);
  const find = async (spec: 'earliest' | 'latest') => {
    const questions = led.map((partition) => ({ topic: topic.name, partition, spec }));
    const found = await admin.listOffsets(questions, { timeoutMs: LEADERS_TIMEOUT_MS }).catch(() => []);
    return new Map(found.map(({ partition, offset }) => [partition, offset]));
  };
  const [beginnings, ends, replicas] = await Promise.all([find('earliest'), find('latest'), replicasOf(admin, topic)]);
  const partitions = topic.partitions.map((partition): Described => {
    const told = replicas.get(partition.partition);
    return {
      ...partition,
      beginningOffset: beginnings.get(partition.partition) ?? null,
      endOffset: ends.get(partition.partition) ?? null,
      lag: lagOf(told),
      replicaStates: told?.replicas ?? [],
    };
  });
  return { ...topic, partitions };
}

async function replicasOf(admin: Admin, topic: TopicDescription): Promise<ReadonlyMap<number, PartitionReplicas>> {
  if (topic.partitions.length === 0) return new Map();
  const topics = [{ topic: topic.name, partitions: topic.partitions.map(({ partition }) => partition) }];
  const told = await admin.describeReplicas({ topics, timeoutMs: LEADERS_TIMEOUT_MS }).catch(() => []);
  return new Map(told.map((one) => [one.partition, one]));
}

/** The leader is never behind itself, even where it has not opened its log since it started. */
function lagOf(told: PartitionReplicas | undefined): number | null {
  if (told === undefined || told.error !== undefined) return null;
  const lags = told.replicas.filter(({ brokerId }) => brokerId !== told.leader).map(({ lag }) => lag);
  return lags.some((lag) => lag < 0) ? null : Math.max(0, ...lags);
}

function rowOf(partition: Described): readonly string[] {
  const { addingReplicas, removingReplicas } = partition;
  const moves = [...addingReplicas.map((id) => `+${id}`), ...removingReplicas.map((id) => `-${id}`)].join(',');
  return [
    String(partition.partition),
    partition.leader < 0 ? 'none' : String(partition.leader),
    String(partition.leaderEpoch),
    partition.replicas.join(',') + (moves === '' ? '' : ` (${moves})`),
    partition.isr.join(','),
    partition.eligibleLeaderReplicas.join(','),
    shown(partition.lag),
    shown(partition.beginningOffset),
    shown(partition.endOffset),
  ];
}

const shown = (offset: number | null): string => (offset === null ? '?' : String(offset));
