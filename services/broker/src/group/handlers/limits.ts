/** How much one call may ask for. What a group may have is in core/group/limits.ts. */
import { BarnabasError } from '@barnabas/protocol';

/** Groups that one call names. */
export const MAX_GROUPS_PER_REQUEST = 10_000;
/** Partitions that one call names. */
export const MAX_PARTITIONS_PER_REQUEST = 100_000;

/** Throws INVALID_REQUEST for none, and for too many. */
export function checkGroupCount(count: number): void {
  if (count >= 1 && count <= MAX_GROUPS_PER_REQUEST) return;
  throw new BarnabasError(
    'INVALID_REQUEST',
    `a request names from 1 to ${MAX_GROUPS_PER_REQUEST} groups, not ${count}: use several`,
  );
}

/** Throws INVALID_REQUEST. */
export function checkPartitionCount(count: number, least: 0 | 1): void {
  if (count >= least && count <= MAX_PARTITIONS_PER_REQUEST) return;
  throw new BarnabasError(
    'INVALID_REQUEST',
    `a request names from ${least} to ${MAX_PARTITIONS_PER_REQUEST} partitions, not ${count}: use several`,
  );
}
