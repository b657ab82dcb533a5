/** All planted bugs of a cluster. */
import * as inFaults from './fault-plants.js';
import * as inEpochs from './epoch-plants.js';
import {
  acknowledgeBeforeFsync,
  followerAcknowledgesOnAppend,
  ignoreSequences,
  truncateToHighWatermark,
} from './log-plants.js';
import * as inMessages from './message-plants.js';
import type { ClusterPlant } from './plant.js';
import * as inReplicas from './replica-plants.js';

export const CLUSTER_PLANTS: readonly ClusterPlant[] = [
  ...[acknowledgeBeforeFsync, followerAcknowledgesOnAppend, ignoreSequences, truncateToHighWatermark],
  ...Object.values(inReplicas),
  ...Object.values(inMessages),
  ...Object.values(inEpochs),
  ...Object.values(inFaults),
];
