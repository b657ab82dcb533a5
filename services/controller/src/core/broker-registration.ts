/** What a broker must say about itself to be registered. */
import { isUuid } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import { MAX_BROKER_ID, MAX_ENDPOINTS, MAX_NAME_LENGTH } from './limits.js';

/** Throws INCONSISTENT_CLUSTER_ID or INVALID_REGISTRATION. */
export function checkRegistration(image: MetadataImage, request: internal.RegisterBrokerRequest): void {
  if (request.clusterId !== '' && request.clusterId !== image.clusterId) {
    throw new BarnabasError(
      'INCONSISTENT_CLUSTER_ID',
      `broker ${request.brokerId} belongs to cluster ${request.clusterId}, this is ${image.clusterId}: check controller.quorum.voters and log.dir`,
    );
  }
  const problem = registrationProblem(request);
  if (problem !== undefined) throw new BarnabasError('INVALID_REGISTRATION', `broker ${request.brokerId}: ${problem}`);
}

function registrationProblem(request: internal.RegisterBrokerRequest): string | undefined {
  const { brokerId, incarnationId, endpoints, rack } = request;
  if (!Number.isInteger(brokerId) || brokerId < 0 || brokerId > MAX_BROKER_ID) return 'its id must not be negative';
  if (!isUuid(incarnationId)) return 'its incarnation id must be a UUID in base64url';
  if (rack.length > MAX_NAME_LENGTH) return `its rack must have at most ${MAX_NAME_LENGTH} characters`;
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
