/**
 * A planted bug: the real roles in surroundings that make them misbehave as a real bug would. Only
 * the simulator can turn one on; each is there to prove that a checker can fail.
 */
import type { GroupCoordinatorOptions, ReplicaNode, ReplicaPartition } from '@barnabas/broker/parts';
import type { Clock, Timers } from '@barnabas/common';
import type { ControllerConfig } from '@barnabas/controller';
import type { LogManager } from '@barnabas/log';
import type { MetadataImage } from '@barnabas/metadata';
import type { StoreFactory } from '@barnabas/store';
import type { Stage } from '../../kernel/stage.js';
import type { Envelope } from '../network/call.js';
import type { ClusterPlan, Need } from '../plan.js';

/** What a planted bug finds around it. */
export interface PlantSite extends Stage {
  readonly plan: ClusterPlan;
  /** The metadata that a controller has committed, by the name of its machine. */
  imageAt(name: string): MetadataImage | undefined;
  /** What runs on a broker, by the name of its machine. */
  nodeOf(name: string): ReplicaNode | undefined;
}

export interface ClusterPlant {
  readonly name: string;
  /** The bug, in a sentence. */
  readonly says: string;
  /** Checks of which one must find it. */
  readonly caughtBy: readonly string[];
  /** What a run must have for it to show. */
  readonly needs?: readonly Need[];
  /** How controllers are configured otherwise. */
  readonly controllerConfig?: Partial<ControllerConfig>;
  /** A broker's disk. */
  files?(files: StoreFactory, site: PlantSite): StoreFactory;
  /** A broker's logs. */
  logs?(logs: LogManager, site: PlantSite): LogManager;
  /** A replica, after every event. */
  replica?(replica: ReplicaPartition, site: PlantSite): void;
  /** The timers of a node. */
  timers?(timers: Timers, clock: Clock): Timers;
  /** What a broker's group coordinator is made with. */
  coordinator?(options: GroupCoordinatorOptions, site: PlantSite): GroupCoordinatorOptions;
  /** A message as it arrives. */
  heard?(envelope: Envelope, site: PlantSite): unknown;
}

export const NO_CLUSTER_PLANT: ClusterPlant = { name: 'none', says: 'nothing is planted', caughtBy: [] };
