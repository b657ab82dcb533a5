/** What everybody in a simulated cluster finds around him. */
import type { Network } from './network/network.js';
import type { ClusterPlant, PlantSite } from './plants/plant.js';
import type { Truth } from './truth/truth.js';

export interface Surroundings extends PlantSite {
  readonly network: Network;
  readonly truth: Truth;
  readonly plant: ClusterPlant;
  /** A process has ended. */
  wentDown(name: string, hasLostPower: boolean): void;
}
