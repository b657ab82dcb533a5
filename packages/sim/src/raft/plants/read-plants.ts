/** Bugs of reads. */
import { withOverrides } from '../../kernel/overrides.js';
import type { QuorumPlant } from './plant.js';

export const readWithoutProof: QuorumPlant = {
  name: 'read-without-proof',
  says: 'a node answers reads without asking whether it still leads',
  caughtBy: ['read-barrier', 'linearizable'],
  needs: ['isolation', 'freeze'],
  node: (node) =>
    withOverrides(node, {
      readBarrier: () => Promise.resolve(node.status.appliedIndex),
    }),
};
