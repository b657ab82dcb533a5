/**
 * A planted bug: the real roles in surroundings that make them misbehave as a real bug would. Only
 * the simulator can turn one on; each is there to prove that a checker can fail.
 */
import type { ReplicaNode } from '@barnabas/broker/parts';
import type { LogManager } from '@barnabas/log';
import type { StoreFactory } from '@barnabas/store';
import type { Envelope } from '../network/call.js';
import type { Need } from '../plan.js';
import type { Stage } from '../../kernel/stage.js';

export interface ClusterPlant {
  readonly name: string;
  /** The bug, in a sentence. */
  readonly says: string;
  /** Checks of which one must find it. */
  readonly caughtBy: readonly string[];
  /** What a run must have for it to show. */
  readonly needs?: readonly Need[];
  /** A broker's disk. */
  files?(files: StoreFactory, stage: Stage): StoreFactory;
  /** A broker's logs. */
  logs?(logs: LogManager, stage: Stage): LogManager;
  /** A broker's insides, as it opens them. */
  node?(node: ReplicaNode, stage: Stage): void;
  /** A message as it arrives. */
  heard?(envelope: Envelope, stage: Stage): unknown;
}

export const NO_CLUSTER_PLANT: ClusterPlant = { name: 'none', says: 'nothing is planted', caughtBy: [] };
