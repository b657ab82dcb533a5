/** Bugs in how brokers use their disks and logs. */
import { unsynced } from '../../disk/faulty-stores.js';
import { withOverrides } from '../../kernel/overrides.js';
import type { ClusterPlant } from './plant.js';

export const acknowledgeBeforeFsync: ClusterPlant = {
  name: 'acknowledge-before-fsync',
  says: 'replicas count as stable what they have written and not synced',
  caughtBy: ['leader-completeness', 'committed-prefix', 'watermark'],
  needs: ['powerLossOfAll', 'powerLoss'],
  files: (files) =>
    withOverrides(files, {
      open: async (location, options) => unsynced(await files.open(location, options), () => true),
    }),
};
