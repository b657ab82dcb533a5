/** How far groups are behind: their committed offsets beside the ends of the logs, in records and in time. */
import { BarnabasError, v1 } from '@barnabas/protocol';
import type { ClusterRouter } from '../cluster/cluster-router.js';
import { listEachOffset } from '../consumer/list-offsets.js';
import type { FoundOffset, OffsetQuestion } from '../consumer/list-offsets.js';
import { groupPartitionKey } from '../group/group-types.js';
import type { FetchedOffset, GroupTopicPartition } from '../group/group-types.js';
import type { GroupDescription, GroupLag, GroupMemberDescription, PartitionLag } from './group-admin-types.js';

export interface GroupOffsets {
  readonly group: GroupDescription;
  readonly offsets: readonly FetchedOffset[];
}

/** Questions in one request to a leader; it takes twice as many. */
const MAX_QUESTIONS = 5_000;

/** In the order of the groups. A partition whose leader cannot be asked has its error, and fails nothing. */
export async function lagOf(
  router: ClusterRouter,
  groups: readonly GroupOffsets[],
  timeoutMs: number,
): Promise<readonly GroupLag[]> {
  const rows = groups.map(rowsOf);
  const questions = rows.flat().flatMap(questionsOf);
  const answers = (await ask(router, questions, timeoutMs)).values();
  const next = () => answers.next().value as FoundOffset | BarnabasError;
  const now = router.environment.clock.now();
  return groups.map(({ group }, index) => ({
    ...group,
    partitions: (rows[index] ?? []).map((row) => {
      const end = next();
      return row.offset === undefined ? toLag(row, end, undefined, now) : toLag(row, end, next(), now);
    }),
  }));
}

interface Row {
  readonly partition: GroupTopicPartition;
  /** Undefined: nothing is committed. */
  readonly offset: FetchedOffset | undefined;
  readonly member: GroupMemberDescription | undefined;
}

function rowsOf({ group, offsets }: GroupOffsets): readonly Row[] {
  const rows = new Map<string, Row>();
  for (const offset of offsets) {
    if (offset.offset < 0) continue;
    rows.set(groupPartitionKey(offset), { partition: offset, offset, member: undefined });
  }
  for (const member of group.members) {
    for (const partition of member.assignment) {
      const key = groupPartitionKey(partition);
      rows.set(key, { partition, offset: rows.get(key)?.offset, member });
    }
  }
  return [...rows.values()].sort(
    ({ partition: one }, { partition: other }) =>
      (one.topic < other.topic ? -1 : one.topic > other.topic ? 1 : 0) || one.partition - other.partition,
  );
}

function questionsOf({ partition: { topic, partition }, offset }: Row): readonly OffsetQuestion[] {
  const end: OffsetQuestion = { topic, partition, spec: 'latest' };
  return offset === undefined ? [end] : [end, { topic, partition, spec: { atOffset: offset.offset } }];
}

async function ask(
  router: ClusterRouter,
  questions: readonly OffsetQuestion[],
  timeoutMs: number,
): Promise<readonly (FoundOffset | BarnabasError)[]> {
  const answers: (FoundOffset | BarnabasError)[] = [];
  const options = { isolationLevel: v1.IsolationLevel.READ_UNCOMMITTED, timeoutMs };
  for (let at = 0; at < questions.length; at += MAX_QUESTIONS) {
    answers.push(...(await listEachOffset(router, questions.slice(at, at + MAX_QUESTIONS), options)));
  }
  return answers;
}

function toLag(
  { partition: { topic, topicId, partition }, offset, member }: Row,
  end: FoundOffset | BarnabasError,
  first: FoundOffset | BarnabasError | undefined,
  now: number,
): PartitionLag {
  const error = [end, first].find((answer) => answer instanceof BarnabasError);
  const logEndOffset = end instanceof BarnabasError ? undefined : end.offset;
  const committedOffset = offset?.offset;
  const isKnown = logEndOffset !== undefined && committedOffset !== undefined;
  return {
    ...{ topic, topicId, partition, committedOffset, metadata: offset?.metadata ?? '', logEndOffset },
    // A log that has lost its end (an unclean election) may lie behind what was consumed.
    lag: isKnown ? Math.max(0, logEndOffset - committedOffset) : undefined,
    lagMs: first === undefined || first instanceof BarnabasError ? undefined : waitingMs(first, now),
    member,
    error,
  };
}

/** The clock of whoever made the record may be ahead. */
function waitingMs({ offset, timestamp }: FoundOffset, now: number): number | undefined {
  if (offset < 0) return 0;
  return timestamp < 0 ? undefined : Math.max(0, now - timestamp);
}
