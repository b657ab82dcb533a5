/**
 * Features and their levels (KIP-584), changed while the cluster runs: what a later release may write
 * into the metadata log is switched on when every node knows it.
 *
 * A level is refused (FEATURE_UPDATE_FAILED) that some node does not support: a registered broker, also
 * one that is fenced and may come back, or a controller. Brokers say what they support when they
 * register; controllers are asked, and one that does not answer counts as one that supports nothing.
 * A lower level has to be allowed by the request, and metadata.version goes down only while the log
 * says nothing that the lower level has no words for.
 *
 * Errors: FEATURE_UPDATE_FAILED, INVALID_REQUEST (a feature twice, a negative level, none at all).
 */
import { METADATA_VERSION, REPLICATION_METADATA_VERSION, SUPPORTED_FEATURES, supportsLevel } from '@barnabas/metadata';
import type { FeatureRangeImage, MetadataImage, PartitionImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal, v1 } from '@barnabas/protocol';
import { Plan, answer } from './decision.js';
import type { Decision } from './decision.js';
import { MAX_FEATURES } from './limits.js';

/** A controller and what it supports; nothing if it did not answer. */
export interface ControllerFeatures {
  readonly id: number;
  readonly supported: ReadonlyMap<string, FeatureRangeImage> | undefined;
}

/** The levels now, and what this controller supports, by name. */
export function describeFeatures(image: MetadataImage): v1.Feature[] {
  const names = new Set([...SUPPORTED_FEATURES.keys(), ...image.features.keys()]);
  return [...names].sort().map((name) => {
    const { minLevel, maxLevel } = SUPPORTED_FEATURES.get(name) ?? { minLevel: 0, maxLevel: 0 };
    return { name, level: image.features.get(name) ?? 0, minSupported: minLevel, maxSupported: maxLevel };
  });
}

/** `controllers`: all of the quorum, this one included. */
export function updateFeatures(
  image: MetadataImage,
  request: Pick<v1.UpdateFeaturesRequest, 'updates' | 'validateOnly'>,
  controllers: readonly ControllerFeatures[],
): Decision<void> {
  checkShape(request.updates);
  const records: internal.MetadataRecord[] = [];
  for (const update of request.updates) {
    const { name, level } = update;
    if (level === (image.features.get(name) ?? 0)) continue;
    checkDirection(image, update);
    checkControllers(controllers, name, level);
    checkBrokers(image, name, level);
    records.push({ record: { $case: 'featureLevel', featureLevel: { name, level } } });
  }
  if (request.validateOnly) return answer(undefined);
  const plan = new Plan(image);
  // All or none: one unit.
  plan.add(records);
  return plan.decide(undefined);
}

function checkShape(updates: readonly v1.FeatureUpdate[]): void {
  const names = new Set(updates.map(({ name }) => name));
  const problem =
    updates.length === 0
      ? 'name a feature and its level'
      : updates.length > MAX_FEATURES
        ? `at most ${MAX_FEATURES} features can be changed in one request`
        : names.size < updates.length
          ? 'the request names a feature more than once'
          : updates.some(({ level }) => !Number.isInteger(level) || level < 0)
            ? 'the level of a feature must not be negative'
            : undefined;
  if (problem !== undefined) throw new BarnabasError('INVALID_REQUEST', problem);
}

function checkDirection(image: MetadataImage, { name, level, allowDowngrade }: v1.FeatureUpdate): void {
  const current = image.features.get(name) ?? 0;
  if (level > current) return;
  if (!allowDowngrade) {
    throw failed(`${name} is at ${current}: a lower level must be allowed by the request (allow_downgrade)`);
  }
  if (name !== METADATA_VERSION || level >= REPLICATION_METADATA_VERSION) return;
  const obstacle = replicationIn(image);
  if (obstacle === undefined) return;
  throw failed(`${name} ${level} has no words for what the metadata log says: ${obstacle}`);
}

/** What speaks against a level without replication. */
function replicationIn(image: MetadataImage): string | undefined {
  for (const { id, decommissioning } of image.brokers.values()) {
    if (decommissioning) return `broker ${id} is being decommissioned`;
  }
  for (const { name, partitions } of image.topics.values()) {
    if (partitions.some((partition) => !isPlain(partition))) {
      return `topic ${name} has more than one replica, or a state that goes with it`;
    }
  }
  return undefined;
}

function isPlain(partition: PartitionImage): boolean {
  const { replicas, addingReplicas, removingReplicas, eligibleLeaderReplicas, lastKnownElr, offlineReplicas } =
    partition;
  const more = [addingReplicas, removingReplicas, eligibleLeaderReplicas, lastKnownElr, offlineReplicas];
  return replicas.length === 1 && more.every(({ length }) => length === 0);
}

function checkControllers(controllers: readonly ControllerFeatures[], name: string, level: number): void {
  for (const { id, supported } of controllers) {
    if (supported === undefined) {
      throw failed(`controller ${id} did not say what it supports: start it, or remove it from the quorum`);
    }
    if (!supportsLevel(supported, name, level)) throw failed(unsupported(`controller ${id}`, supported, name, level));
  }
}

function checkBrokers(image: MetadataImage, name: string, level: number): void {
  for (const { id, features } of image.brokers.values()) {
    if (!supportsLevel(features, name, level)) throw failed(unsupported(`broker ${id}`, features, name, level));
  }
}

function unsupported(
  who: string,
  supported: ReadonlyMap<string, FeatureRangeImage>,
  name: string,
  level: number,
): string {
  const range = supported.get(name);
  const what = range === undefined ? 'does not know it' : `supports ${range.minLevel} to ${range.maxLevel}`;
  return `${name} cannot be at ${level}: ${who} ${what}: upgrade it, or unregister it if it is gone`;
}

function failed(text: string): BarnabasError {
  return new BarnabasError('FEATURE_UPDATE_FAILED', text);
}
