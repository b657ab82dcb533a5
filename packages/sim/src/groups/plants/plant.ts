/** A planted bug in groups: see cluster/plants/plant.ts. */
import type { GroupShard } from '@barnabas/broker/parts';
import type { MembershipOptions } from '@barnabas/client';
import type { ClusterPlant, PlantSite } from '../../cluster/plants/plant.js';
import type { Trick } from '../plan.js';

export interface GroupPlant extends ClusterPlant {
  /** What members must do for it to show. */
  readonly tricks?: readonly Trick[];
  /** A coordinator's shard, once, when it has been loaded. */
  shard?(shard: GroupShard, site: PlantSite): void;
  /** How a member is made. */
  membership?(options: MembershipOptions): MembershipOptions;
}

export const NO_GROUP_PLANT: GroupPlant = { name: 'none', says: 'nothing is planted', caughtBy: [] };
