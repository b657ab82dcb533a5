/**
 * Features and their levels (KIP-584). `metadata.version` says which record types and fields the log
 * may hold: a node that does not know the cluster's level stops rather than guess, since a field that
 * it does not know would be lost to it without a word.
 *
 * metadata.version:
 *   1  brokers, topics with one replica, configurations, producer ids
 *   2  replication: more than one replica, ISR changes, reassignments, eligible and offline replicas,
 *      brokers that are being decommissioned
 * What a broker supports stands in its registration at every level: no decision of an older release
 * depends on it.
 */
import type { internal } from '@barnabas/protocol';

export const METADATA_VERSION = 'metadata.version';

/** The level at which the log may hold replicated partitions. */
export const REPLICATION_METADATA_VERSION = 2;

/** What this release writes into a new cluster, and the highest it can follow. */
export const SUPPORTED_METADATA_VERSION = 2;

/** The levels of one feature that a node can work with. */
export interface FeatureRangeImage {
  readonly minLevel: number;
  readonly maxLevel: number;
}

/** What this release can work with: what every node announces. */
export const SUPPORTED_FEATURES: ReadonlyMap<string, FeatureRangeImage> = new Map([
  [METADATA_VERSION, { minLevel: 1, maxLevel: SUPPORTED_METADATA_VERSION }],
]);

/** SUPPORTED_FEATURES as nodes say it to each other. */
export function announcedFeatures(): internal.FeatureRange[] {
  return [...SUPPORTED_FEATURES].map(([name, { minLevel, maxLevel }]) => ({ name, minLevel, maxLevel }));
}

/** What a node has announced. One that announces nothing is of the release before there was anything to say. */
export function featuresFrom(announced: readonly internal.FeatureRange[]): ReadonlyMap<string, FeatureRangeImage> {
  if (announced.length === 0) return FIRST_RELEASE;
  return new Map(announced.map(({ name, minLevel, maxLevel }) => [name, { minLevel, maxLevel }]));
}

const FIRST_RELEASE: ReadonlyMap<string, FeatureRangeImage> = new Map([
  [METADATA_VERSION, { minLevel: 1, maxLevel: 1 }],
]);

/** Whether a node that supports these ranges can work with a feature at a level; 0 is its absence. */
export function supportsLevel(supported: ReadonlyMap<string, FeatureRangeImage>, name: string, level: number): boolean {
  const range = supported.get(name);
  if (range === undefined) return level === 0;
  return (level === 0 && name !== METADATA_VERSION) || (level >= range.minLevel && level <= range.maxLevel);
}
