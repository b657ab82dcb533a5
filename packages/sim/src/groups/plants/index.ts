/** All planted bugs of groups. */
import * as ofAssignors from './assignor-plants.js';
import { answerAfterLosingTheLead, answerBeforeCommitted, loadPartOfTheLog } from './log-plants.js';
import * as ofMembers from './member-plants.js';
import type { GroupPlant } from './plant.js';
import * as ofShards from './shard-plants.js';

export const GROUP_PLANTS: readonly GroupPlant[] = [
  ...[answerBeforeCommitted, loadPartOfTheLog, answerAfterLosingTheLead],
  ...Object.values(ofShards),
  ...Object.values(ofAssignors),
  ...Object.values(ofMembers),
];
