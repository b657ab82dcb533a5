/**
 * Options of how a client finds and talks to a cluster, common to producers, consumers and admin.
 * Times are milliseconds, sizes bytes. Names are Kafka's in camel case, defaults Kafka's.
 */
import { integer, oneOf } from './option-table.js';
import type { OptionTable } from './option-table.js';

/**
 * Where requests for a partition go. `leaders`: straight to the broker that leads it, found by
 * metadata; a broker that cannot be reached at its advertised address is served through the
 * bootstrap addresses for a while, with a warning. `bootstrap`: everything goes to the bootstrap
 * addresses, which must be gateways: for networks that do not reach the brokers.
 */
export type Route = 'leaders' | 'bootstrap';

export interface ConnectionOptions {
  /** See Route. Default `leaders`. */
  readonly route: Route;
  /** How long to wait for one answer before the request counts as lost. ms, default 30,000 (request.timeout.ms). */
  readonly requestTimeoutMs: number;
  /** How long a call of the admin or of a consumer (offsets, for example) may take with its retries. ms, default 60,000 (default.api.timeout.ms). */
  readonly defaultApiTimeoutMs: number;
  /** The first pause before a retry; it doubles with each failure. ms, default 100 (retry.backoff.ms). */
  readonly retryBackoffMs: number;
  /** The longest pause before a retry. ms, default 1,000 (retry.backoff.max.ms). */
  readonly retryBackoffMaxMs: number;
  /** The first pause before a node is tried again; it doubles with each failure. ms, default 50 (reconnect.backoff.ms). */
  readonly reconnectBackoffMs: number;
  /** The longest pause before a node is tried again. ms, default 1,000 (reconnect.backoff.max.ms). */
  readonly reconnectBackoffMaxMs: number;
  /** How long a node has to answer for the first time. ms, default 10,000 (socket.connection.setup.timeout.ms). */
  readonly socketConnectionSetupTimeoutMs: number;
  /** Metadata older than this is asked for again even where the watch is silent. ms, default 300,000 (metadata.max.age.ms). */
  readonly metadataMaxAgeMs: number;
}

export const CONNECTION_OPTIONS: OptionTable<ConnectionOptions> = {
  route: { type: oneOf('leaders', 'bootstrap'), default: 'leaders' },
  requestTimeoutMs: { kafka: 'request.timeout.ms', type: integer(1), default: 30_000 },
  defaultApiTimeoutMs: { kafka: 'default.api.timeout.ms', type: integer(1), default: 60_000 },
  retryBackoffMs: { kafka: 'retry.backoff.ms', type: integer(0), default: 100 },
  retryBackoffMaxMs: { kafka: 'retry.backoff.max.ms', type: integer(0), default: 1_000 },
  reconnectBackoffMs: { kafka: 'reconnect.backoff.ms', type: integer(0), default: 50 },
  reconnectBackoffMaxMs: { kafka: 'reconnect.backoff.max.ms', type: integer(0), default: 1_000 },
  socketConnectionSetupTimeoutMs: {
    kafka: 'socket.connection.setup.timeout.ms',
    type: integer(1),
    default: 10_000,
  },
  metadataMaxAgeMs: { kafka: 'metadata.max.age.ms', type: integer(1), default: 300_000 },
};
