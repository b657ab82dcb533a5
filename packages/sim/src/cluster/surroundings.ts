/** What everybody in a simulated cluster finds around him. */
import type { Stage } from '../kernel/stage.js';
import type { Network } from './network/network.js';
import type { ClusterPlan } from './plan.js';
import type { ClusterPlant } from './plants/plant.js';
import type { Truth } from './truth/truth.js';

export interface Surroundings extends Stage {
  readonly plan: ClusterPlan;
  readonly network: Network;
  readonly truth: Truth;
  readonly plant: ClusterPlant;
  /** A process has ended. */
  wentDown(name: string, hasLostPower: boolean): void;
}
