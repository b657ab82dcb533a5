/** Limits of what members and clients send, checked before anything is decided. */
import { topicNameProblem } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';

/** Ids of groups, members, instances and clients, host names and racks. */
export const MAX_ID_LENGTH = 255;
/** Topic names in one subscription. */
export const MAX_TOPICS_PER_SUBSCRIPTION = 10_000;
/** Partitions in one commit, fetch or deletion of offsets, or in a report of what is owned. */
export const MAX_PARTITIONS_PER_REQUEST = 100_000;

export function checkGroupId(groupId: string): void {
  if (groupId !== '' && groupId.length <= MAX_ID_LENGTH) return;
  throw new BarnabasError('INVALID_GROUP_ID', `a group id has 1 to ${MAX_ID_LENGTH} characters, not ${groupId.length}`);
}

export function checkId(what: string, id: string, options: { readonly mayBeEmpty: boolean }): void {
  if (id.length <= MAX_ID_LENGTH && (options.mayBeEmpty || id !== '')) return;
  throw new BarnabasError(
    'INVALID_REQUEST',
    `the ${what} has ${options.mayBeEmpty ? 0 : 1} to ${MAX_ID_LENGTH} characters, not ${id.length}`,
  );
}

export function checkTopicNames(names: readonly string[]): void {
  if (names.length > MAX_TOPICS_PER_SUBSCRIPTION) {
    throw new BarnabasError(
      'INVALID_REQUEST',
      `a subscription names ${MAX_TOPICS_PER_SUBSCRIPTION} topics at most, not ${names.length}: use a pattern`,
    );
  }
  for (const name of names) {
    const problem = topicNameProblem(name);
    if (problem !== undefined) throw new BarnabasError('INVALID_TOPIC_EXCEPTION', problem);
  }
}

export function checkPartitionCount(count: number): void {
  if (count <= MAX_PARTITIONS_PER_REQUEST) return;
  throw new BarnabasError(
    'INVALID_REQUEST',
    `a request names ${MAX_PARTITIONS_PER_REQUEST} partitions at most, not ${count}: use several`,
  );
}

/** Bytes of a string in UTF-8; half of a surrogate pair becomes three, as encoders make it. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
  }
  return bytes;
}
