/** What a broker must say about itself to be registered. */
import { featuresFrom, isUuid, supportsLevel } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { MAX_BROKER_ID, MAX_ENDPOINTS, MAX_FEATURES, MAX_NAME_LENGTH } from './limits.js';

/** Throws INCONSISTENT_CLUSTER_ID, INVALID_REGISTRATION or UNSUPPORTED_VERSION. */
export function checkRegistration(image: MetadataImage, request: internal.RegisterBrokerRequest): void {
  if (request.clusterId !== '' && request.clusterId !== image.clusterId) {
    throw new BarnabasError(
      'INCONSISTENT_CLUSTER_ID',
      `broker ${request.brokerId} belongs to cluster ${request.clusterId}, this is ${image.clusterId}: check controller.quorum.voters and log.dir`,
    );
  }
  const problem = registrationProblem(request);
  if (problem !== undefined) throw new BarnabasError('INVALID_REGISTRATION', `broker ${request.brokerId}: ${problem}`);
  checkFeatures(image, request);
}

/** A broker that does not know what the metadata log may hold would stop at the first such record. */
function checkFeatures(image: MetadataImage, request: internal.RegisterBrokerRequest): void {
  const supported = featuresFrom(request.features);
  for (const [name, level] of image.features) {
    if (supportsLevel(supported, name, level)) continue;
    throw new BarnabasError(
      'UNSUPPORTED_VERSION',
      `broker ${request.brokerId} does not support ${name} ${level}, which this cluster is at: upgrade the broker`,
      { brokerId: request.brokerId, feature: name, level },
    );
  }
}

function registrationProblem(request: internal.RegisterBrokerRequest): string | undefined {
  const { brokerId, incarnationId, endpoints, rack, features, flushIntervalMessages } = request;
  if (!Number.isInteger(brokerId) || brokerId < 0 || brokerId > MAX_BROKER_ID) return 'its id must not be negative';
  if (!isUuid(incarnationId)) return 'its incarnation id must be a UUID in base64url';
  if (rack.length > MAX_NAME_LENGTH) return `its rack must have at most ${MAX_NAME_LENGTH} characters`;
  if (features.length > MAX_FEATURES) return `it must announce at most ${MAX_FEATURES} features`;
  const inverted = features.find(({ minLevel, maxLevel }) => minLevel < 0 || maxLevel < minLevel);
  if (inverted !== undefined) return `its range of feature ${inverted.name} is empty`;
  if (features.some(({ name }) => name === '' || name.length > MAX_NAME_LENGTH)) return 'its features must have names';
  if (flushIntervalMessages < 0) return 'its log.flush.interval.messages must not be negative';
  if (endpoints.length === 0) return 'it must have an endpoint';
  if (endpoints.length > MAX_ENDPOINTS) return `it must have at most ${MAX_ENDPOINTS} endpoints`;
  if (new Set(endpoints.map(({ name }) => name)).size < endpoints.length) return 'its endpoints must differ in name';
  const bad = endpoints.find((endpoint) => !isReachable(endpoint));
  return bad === undefined ? undefined : `its endpoint ${bad.name}://${bad.host}:${bad.port} cannot be reached`;
}

function isReachable({ name, host, port }: internal.Endpoint): boolean {
  const named = name !== '' && name.length <= MAX_NAME_LENGTH;
  const hosted = host !== '' && host.length <= MAX_NAME_LENGTH;
  return named && hosted && Number.isInteger(port) && port >= 1 && port <= 65_535;
}
