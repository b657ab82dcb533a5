/** Tables of groups for people, with the columns of Kafka's kafka-consumer-groups; `-` is what is not known. */
import type { GroupDescription, GroupLag, PartitionLag } from '@barnabas/client';
import { formatTable } from '../terminal/table.js';
import { formatDuration } from '../text/times.js';

const NONE = '-';
const known = (value: number | undefined): string => (value === undefined ? NONE : String(value));
const named = (text: string | undefined): string => (text === undefined || text === '' ? NONE : text);

const OFFSETS_HEAD = [
  ...['group', 'topic', 'partition', 'current-offset', 'log-end-offset', 'lag', 'lag-time'],
  ...['consumer-id', 'host', 'client-id'],
];

export function offsetsTable(groups: readonly GroupLag[]): string {
  const rows = groups.flatMap(({ groupId, partitions }) =>
    partitions.map((one) => [
      ...[groupId, one.topic, String(one.partition), known(one.committedOffset), known(one.logEndOffset)],
      ...[known(one.lag), lagTime(one), named(one.member?.memberId), named(one.member?.clientHost)],
      named(one.member?.clientId),
    ]),
  );
  return formatTable(OFFSETS_HEAD, rows);
}

export function membersTable(groups: readonly GroupDescription[]): string {
  const rows = groups.flatMap(({ groupId, members }) =>
    members.map((member) => [
      ...[groupId, member.memberId, named(member.instanceId), named(member.clientHost), named(member.clientId)],
      ...[
        named(member.rackId),
        String(member.epoch),
        String(member.assignment.length),
        assignmentOf(member.assignment),
      ],
    ]),
  );
  const head = [
    'group',
    'consumer-id',
    'instance-id',
    'host',
    'client-id',
    'rack',
    'epoch',
    '#partitions',
    'assignment',
  ];
  return formatTable(head, rows);
}

export function statesTable(groups: readonly GroupDescription[]): string {
  const rows = groups.map(({ groupId, coordinatorId, assignor, state, epoch, targetEpoch, members }) => [
    ...[groupId, String(coordinatorId), named(assignor), state, String(epoch), String(targetEpoch)],
    String(members.length),
  ]);
  const head = ['group', 'coordinator', 'assignment-strategy', 'state', 'group-epoch', 'target-epoch', '#members'];
  return formatTable(head, rows);
}

export function lagTime({ lagMs }: Pick<PartitionLag, 'lagMs'>): string {
  return lagMs === undefined ? NONE : formatDuration(lagMs);
}

/** `clicks(0,1) orders(3)`, as Kafka's tool has it. */
function assignmentOf(partitions: readonly { readonly topic: string; readonly partition: number }[]): string {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of partitions) byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition]);
  const topics = [...byTopic].sort(([one], [other]) => (one < other ? -1 : 1));
  return topics.map(([topic, numbers]) => `${topic}(${numbers.sort((a, b) => a - b).join(',')})`).join(' ') || NONE;
}

export interface GroupTotals {
  readonly lag: number;
  /** Of the partition that is furthest behind in time. */
  readonly lagMs: number;
  /** Partitions of which one of the two is not known. */
  readonly unknown: number;
}

export function totalsOf(partitions: readonly PartitionLag[]): GroupTotals {
  return {
    lag: partitions.reduce((sum, { lag = 0 }) => sum + lag, 0),
    lagMs: Math.max(0, ...partitions.map(({ lagMs = 0 }) => lagMs)),
    unknown: partitions.filter(({ lag }) => lag === undefined).length,
  };
}
