/** Groups for machines: errors by their names, members once. Pure. */
import type { GroupLag } from '@barnabas/client';
import { totalsOf } from './lag-table.js';

export function lagJson({ partitions, members, ...group }: GroupLag): object {
  return {
    ...group,
    members,
    ...totalsOf(partitions),
    partitions: partitions.map(({ member, error, committedOffset = null, logEndOffset = null, ...one }) => ({
      ...{ topic: one.topic, topicId: one.topicId, partition: one.partition, committedOffset, logEndOffset },
      ...{ lag: one.lag ?? null, lagMs: one.lagMs ?? null, metadata: one.metadata },
      memberId: member?.memberId ?? null,
      ...(error === undefined ? {} : { error: { code: error.errorName, message: error.message } }),
    })),
  };
}
