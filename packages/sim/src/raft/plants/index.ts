/** All planted bugs of a quorum. */
import * as onDisk from './disk-plants.js';
import * as inElections from './election-plants.js';
import * as inLogs from './log-plants.js';
import * as inReads from './read-plants.js';
import type { QuorumPlant } from './plant.js';

export const NO_QUORUM_PLANT: QuorumPlant = { name: 'none', says: 'nothing is planted', caughtBy: [] };

export const QUORUM_PLANTS: readonly QuorumPlant[] = [onDisk, inElections, inLogs, inReads].flatMap((plants) =>
  Object.values(plants),
);
