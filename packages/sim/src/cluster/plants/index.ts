/** All planted bugs of a cluster. */
import * as inLog from './log-plants.js';
import type { ClusterPlant } from './plant.js';

export const CLUSTER_PLANTS: readonly ClusterPlant[] = [...Object.values(inLog)];
