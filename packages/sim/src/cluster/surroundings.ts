/** What everybody in a simulated cluster finds around him. */
import type { MetadataImage } from '@barnabas/metadata';
import type { Network } from './network/network.js';
import type { ClusterPlant, PlantSite } from './plants/plant.js';
import type { Truth } from './truth/truth.js';

export interface Surroundings extends PlantSite {
  readonly network: Network;
  readonly truth: Truth;
  readonly plant: ClusterPlant;
  /** The newest metadata that anybody has. */
  readonly image: MetadataImage | undefined;
  /** Of the topics of the run, as many as there are now. */
  partitions(): readonly { readonly topic: string; readonly partition: number }[];
  /** A process has ended. */
  wentDown(name: string, hasLostPower: boolean): void;
}
