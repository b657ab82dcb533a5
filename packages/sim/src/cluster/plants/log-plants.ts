/** Bugs in how brokers use their disks and logs. */
import type { LogManager, PartitionLog, TopicPartition } from '@barnabas/log';
import { NO_PRODUCER, readBatchHeader, setProducerState } from '@barnabas/protocol';
import { unsynced } from '../../disk/faulty-stores.js';
import { withOverrides } from '../../kernel/overrides.js';
import type { ClusterPlant, PlantSite } from './plant.js';

/** What a partition's loss looks like. */
export const LOSS = ['electable', 'leader-completeness', 'committed-prefix', 'watermark', 'audit'];

/** Each log is wrapped once it is open, and may be changed before anybody sees it. */
export function wrapEachLog(
  logs: LogManager,
  wrap: (log: PartitionLog, at: TopicPartition) => PartitionLog | Promise<PartitionLog>,
): LogManager {
  const wrapped = new WeakMap<PartitionLog, PartitionLog>();
  const known = (log: PartitionLog): PartitionLog => wrapped.get(log) ?? log;
  return withOverrides(logs, {
    openLog: async (at, config) => {
      const log = await logs.openLog(at, config);
      if (!wrapped.has(log)) wrapped.set(log, await wrap(log, at));
      return known(log);
    },
    log: (topicId, partition) => {
      const log = logs.log(topicId, partition);
      return log === undefined ? undefined : known(log);
    },
    logs: () => logs.logs().map(known),
  });
}

function replicasOf(topic: string, { plan }: PlantSite): number {
  return plan.topics.find(({ name }) => name === topic)?.replicationFactor ?? 1;
}

export const acknowledgeBeforeFsync: ClusterPlant = {
  name: 'acknowledge-before-fsync',
  says: 'replicas count as stable what they have written and not synced',
  caughtBy: LOSS,
  needs: ['powerLossOfAll', 'powerLoss'],
  files: (files) =>
    withOverrides(files, {
      open: async (location, options) => unsynced(await files.open(location, options), () => true),
    }),
};

export const followerAcknowledgesOnAppend: ClusterPlant = {
  name: 'follower-acknowledges-on-append',
  says: 'a follower acknowledges what it has in memory, before its disk has it',
  caughtBy: LOSS,
  needs: ['powerLossOfAll', 'powerLoss'],
  logs: (logs) =>
    wrapEachLog(logs, (log) => {
      let follows = false;
      return withOverrides(log, {
        get stableEndOffset() {
          return follows ? log.logEndOffset : log.stableEndOffset;
        },
        appendAsLeader: (batches, options) => {
          follows = false;
          return log.appendAsLeader(batches, options);
        },
        appendAsFollower: (batches, options) => {
          follows = true;
          return { ...log.appendAsFollower(batches, options), stable: Promise.resolve() };
        },
      });
    }),
};

export const truncateToHighWatermark: ClusterPlant = {
  name: 'truncate-to-high-watermark',
  says: 'a replica that starts cuts its log down to the high watermark that it remembers (KIP-101)',
  caughtBy: LOSS,
  needs: ['killOfAll', 'kill'],
  logs: (logs, site) =>
    wrapEachLog(logs, async (log, { topic }) => {
      if (replicasOf(topic, site) > 1 && log.highWatermark < log.logEndOffset) await log.truncateTo(log.highWatermark);
      return log;
    }),
};

export const ignoreSequences: ClusterPlant = {
  name: 'ignore-sequences',
  says: 'a leader appends batches whatever their sequence',
  caughtBy: ['no-duplicates', 'order'],
  needs: ['reset', 'kill'],
  logs: (logs) =>
    wrapEachLog(logs, (log) =>
      withOverrides(log, {
        appendAsLeader: (batches, options) => {
          const copy = Buffer.from(batches);
          for (let at = 0; at < copy.length; at += readBatchHeader(copy, at).sizeInBytes) {
            setProducerState(copy, at, NO_PRODUCER);
          }
          return log.appendAsLeader(copy, options);
        },
      }),
    ),
};
