/** Bugs in the log and in how the broker uses it. */
import type { LeaderAppendResult, PartitionLog } from '@barnabas/log';
import { NO_PRODUCER, readBatchHeader, setProducerState } from '@barnabas/protocol';
import { withOverrides } from '../../kernel/overrides.js';
import { wrapEachLog } from './plant.js';
import type { Plant } from './plant.js';

export const acknowledgeOnAppend: Plant = {
  name: 'acknowledge-on-append',
  says: 'what is in memory counts as stable',
  caughtBy: ['durable', 'watermark', 'answers', 'one-record-an-offset'],
  needs: ['powerLoss'],
  logs: (logs) =>
    wrapEachLog(logs, (log) =>
      withOverrides(log, {
        get stableEndOffset() {
          return log.logEndOffset;
        },
        appendAsLeader: (batches, options) => ({ ...log.appendAsLeader(batches, options), stable: Promise.resolve() }),
      }),
    ),
};

/** A copy of the batches that says nothing of their producer. */
function anonymous(batches: Buffer): Buffer {
  const copy = Buffer.from(batches);
  for (let at = 0; at < copy.length; at += readBatchHeader(copy, at).sizeInBytes)
    setProducerState(copy, at, NO_PRODUCER);
  return copy;
}

export const ignoreSequences: Plant = {
  name: 'ignore-sequences',
  says: 'batches are appended whatever their sequence',
  caughtBy: ['no-duplicates', 'order'],
  logs: (logs) =>
    wrapEachLog(logs, (log) =>
      withOverrides(log, { appendAsLeader: (batches, options) => log.appendAsLeader(anonymous(batches), options) }),
    ),
};

export const forgetProducers: Plant = {
  name: 'forget-producers',
  says: 'a restart forgets which batches of idempotent producers the log has',
  caughtBy: ['no-duplicates', 'order'],
  needs: ['kill'],
  logs: (logs) =>
    wrapEachLog(logs, (log) => {
      const known = new Set<number>();
      const append = (...[batches, options]: Parameters<PartitionLog['appendAsLeader']>): LeaderAppendResult => {
        const { producerId } = readBatchHeader(batches);
        const result = log.appendAsLeader(batches, options);
        const wasForgotten = result.duplicate && !known.has(producerId);
        known.add(producerId);
        return wasForgotten ? log.appendAsLeader(anonymous(batches), options) : result;
      };
      return withOverrides(log, { appendAsLeader: append });
    }),
};

export const misplaceDuplicates: Plant = {
  name: 'misplace-duplicates',
  says: 'a retry is answered with the end of the log instead of where its batch stands',
  caughtBy: ['no-duplicates', 'one-record-an-offset', 'answers'],
  logs: (logs) =>
    wrapEachLog(logs, (log) =>
      withOverrides(log, {
        appendAsLeader: (batches, options) => {
          const result = log.appendAsLeader(batches, options);
          if (!result.duplicate) return result;
          const shift = log.logEndOffset - 1 - result.lastOffset;
          return { ...result, baseOffset: result.baseOffset + shift, lastOffset: result.lastOffset + shift };
        },
      }),
    ),
};

export const serveAboveHighWatermark: Plant = {
  name: 'serve-above-high-watermark',
  says: 'readers get everything that is in the log',
  caughtBy: ['served'],
  logs: (logs) =>
    wrapEachLog(logs, (log) =>
      withOverrides(log, {
        read: async (request) => {
          const { batches, nextOffset } = await log.read({ ...request, maxOffset: log.logEndOffset });
          // As it would look to whoever only compares this with the limit.
          return { batches, nextOffset: Math.min(nextOffset, request.maxOffset) };
        },
      }),
    ),
};

export const skipBatches: Plant = {
  name: 'skip-batches',
  says: 'a reader that is given several batches misses one of them',
  caughtBy: ['dense'],
  logs: (logs) =>
    wrapEachLog(logs, (log) =>
      withOverrides(log, {
        read: async (request) => {
          const result = await log.read(request);
          return { ...result, batches: result.batches.filter((_, index) => index !== 1) };
        },
      }),
    ),
};

export const confuseTopics: Plant = {
  name: 'confuse-topics',
  says: 'a topic made anew under an old name gets the log of the old one',
  caughtBy: ['fresh'],
  needs: ['deletedTopic', 'mortalTopic'],
  logs: (logs, { disk }) =>
    withOverrides(logs, {
      openLog: (partition, config) => {
        const old = disk.files.locations().find((one) => one.includes(`/${partition.topic}-${partition.partition}.`));
        const topicId = old?.slice(old.lastIndexOf('.') + 1) ?? partition.topicId;
        return logs.openLog({ ...partition, topicId }, config);
      },
      deleteLog: async () => {},
    }),
};

export const listUncommitted: Plant = {
  name: 'list-uncommitted',
  says: 'a search by time finds offsets behind the end',
  caughtBy: ['offsets'],
  logs: (logs) =>
    wrapEachLog(logs, (log) =>
      withOverrides(log, {
        offsetForTimestamp: async (timestamp, options) => {
          const found = await log.offsetForTimestamp(timestamp, options);
          return found === undefined ? undefined : { ...found, offset: log.logEndOffset + 1 };
        },
      }),
    ),
};

const WRONG_ONE_IN = 300;

export const lowerHighWatermark: Plant = {
  name: 'lower-high-watermark',
  says: 'now and then the high watermark goes back',
  caughtBy: ['watermark'],
  partition: (partition, { dice }) => {
    if (partition.highWatermark === 0 || dice.below(WRONG_ONE_IN) > 0) return;
    const lower = partition.highWatermark - 1;
    Object.defineProperty(partition, 'highWatermark', { get: () => lower });
  },
};

export const raiseLogStart: Plant = {
  name: 'raise-log-start',
  says: 'now and then the log start goes beyond the high watermark',
  caughtBy: ['bounds'],
  partition: (partition, { dice }) => {
    if (dice.below(WRONG_ONE_IN) > 0) return;
    const beyond = partition.highWatermark + 1;
    Object.defineProperty(partition, 'logStartOffset', { get: () => beyond });
  },
};
