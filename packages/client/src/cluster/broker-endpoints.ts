/**
 * The address at which each broker is to be spoken to now: its advertised one, or, where that cannot
 * be reached, a bootstrap node that passes requests on (a gateway).
 *
 *   unknown ──probe──▶ up ──failed──▶ unknown
 *      │ probe fails: wait, probe again; the second time in a row ▼
 *   detour: through the bootstrap for DETOUR_MS, then unknown
 *      │ the bootstrap node is behind: unknown
 *      │ the bootstrap node does not pass requests on (it is a broker) ▼
 *   barred: no detour for DETOUR_MS; unknown otherwise
 *
 * A probe is one small call, so that a broker which accepts connections and never answers is found
 * in socket.connection.setup.timeout.ms and not in request.timeout.ms, and so that an address that
 * now belongs to another cluster is never written to.
 */
import { BarnabasError, toBarnabasError, v1 } from '@barnabas/protocol';
import type { Environment } from '@barnabas/rpc';
import type { ConnectionOptions } from '../options/connection-options.js';
import { backoffMs } from './backoff.js';
import type { ClusterView } from './cluster-view.js';
import { Listeners } from './listeners.js';
import type { NodePool } from './node-pool.js';

/** Where requests for a broker's partitions go. */
export interface Endpoint {
  readonly brokerId: number;
  readonly address: string;
  /** False: the node there passes requests on to the broker. */
  readonly isDirect: boolean;
}

export interface BrokerEndpointsParts {
  readonly view: ClusterView;
  readonly pool: NodePool;
  readonly environment: Environment;
  readonly options: ConnectionOptions;
}

const DETOUR_MS = 30_000;
const PROBES_BEFORE_DETOUR = 2;

type State =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'up' }
  | { readonly kind: 'detour'; readonly via: string; readonly untilMs: number };

interface Known {
  address: string;
  state: State;
  failures: number;
  noDetourUntilMs: number;
}

export class BrokerEndpoints {
  readonly #parts: BrokerEndpointsParts;
  readonly #known = new Map<number, Known>();
  readonly #changed = new Listeners();
  #closed = false;

  constructor(parts: BrokerEndpointsParts) {
    this.#parts = parts;
  }

  /** Where to send what is for the broker; undefined while that is being found out. */
  endpoint(brokerId: number): Endpoint | undefined {
    const { pool, options, view } = this.#parts;
    if (options.route === 'bootstrap') return { brokerId, address: pool.bootstrapAddress, isDirect: false };
    const address = view.broker(brokerId)?.address;
    if (address === undefined) {
      view.requestRefresh();
      return undefined;
    }
    const known = this.#know(brokerId, address);
    switch (known.state.kind) {
      case 'up':
        return { brokerId, address, isDirect: true };
      case 'waiting':
        return undefined;
      case 'detour':
        if (this.#now() < known.state.untilMs) return { brokerId, address: known.state.via, isDirect: false };
        known.state = { kind: 'unknown' };
        return this.endpoint(brokerId);
      case 'unknown':
        if (pool.isAnswering(address)) {
          known.state = { kind: 'up' };
          return { brokerId, address, isDirect: true };
        }
        known.state = { kind: 'waiting' };
        void this.#probe(known);
        return undefined;
    }
  }

  /** A stream or call to the endpoint broke. */
  failed({ brokerId, address, isDirect }: Endpoint): void {
    this.#parts.pool.failed(address);
    const known = this.#known.get(brokerId);
    if (!isDirect || known === undefined || known.address !== address || known.state.kind !== 'up') return;
    // Probes first go without a pause: most streams that break do so because their leader restarts,
    // and a probe of it fails within a round trip.
    known.state = { kind: 'unknown' };
  }

  /** The endpoint is a detour, and the node there turns out not to pass requests on. */
  doesNotPassOn({ brokerId, isDirect }: Endpoint): void {
    const known = this.#known.get(brokerId);
    if (isDirect || known === undefined || known.state.kind !== 'detour') return;
    known.noDetourUntilMs = this.#now() + DETOUR_MS;
    known.state = { kind: 'unknown' };
  }

  /** The endpoint is a detour, and the node there knows less than this client: perhaps the broker itself can be reached. */
  isBehind({ brokerId, isDirect }: Endpoint): void {
    const known = this.#known.get(brokerId);
    if (!isDirect && known?.state.kind === 'detour') known.state = { kind: 'unknown' };
  }

  /** Calls back when an endpoint may have become known or another. */
  onChange(listener: () => void): () => void {
    return this.#changed.add(listener);
  }

  close(): void {
    this.#closed = true;
  }

  #know(brokerId: number, address: string): Known {
    const known = this.#known.get(brokerId);
    if (known?.address === address) return known;
    const fresh: Known = { address, state: { kind: 'unknown' }, failures: 0, noDetourUntilMs: 0 };
    this.#known.set(brokerId, fresh);
    return fresh;
  }

  async #probe(known: Known): Promise<void> {
    const { pool, options, view } = this.#parts;
    try {
      const answer = await pool
        .channel(known.address)
        .client(v1.MetadataServiceDefinition)
        .getMetadata(
          { topics: [], allowAutoTopicCreation: false, brokersOnly: true },
          { timeoutMs: options.socketConnectionSetupTimeoutMs },
        );
      if (view.clusterId !== '' && answer.clusterId !== view.clusterId) throw otherCluster(known.address);
    } catch (error) {
      this.#probeFailed(known, toBarnabasError(error));
      return;
    }
    known.failures = 0;
    known.state = { kind: 'up' };
    pool.succeeded(known.address);
    this.#announce();
  }

  #probeFailed(known: Known, error: BarnabasError): void {
    const { environment, options, pool, view } = this.#parts;
    known.failures++;
    pool.failed(known.address);
    view.requestRefresh();
    if (this.#takeDetour(known, error)) return;
    const policy = { baseMs: options.reconnectBackoffMs, maxMs: options.reconnectBackoffMaxMs };
    environment.timers.after(backoffMs(policy, known.failures, environment.random), () => {
      known.state = { kind: 'unknown' };
      this.#announce();
    });
  }

  /** Through a bootstrap node, if there is one that may pass requests on. */
  #takeDetour(known: Known, error: BarnabasError): boolean {
    const { environment, pool } = this.#parts;
    const via = pool.bootstrapOtherThan(known.address);
    const isBarred = this.#now() < known.noDetourUntilMs;
    if (known.failures < PROBES_BEFORE_DETOUR || isBarred || via === undefined) return false;
    known.state = { kind: 'detour', via, untilMs: this.#now() + DETOUR_MS };
    environment.logger.warn('a broker cannot be reached at its advertised address: going through the bootstrap', {
      address: known.address,
      via,
      error: error.message,
      action: 'correct advertised.listeners, open the network, or set route to bootstrap with a gateway',
    });
    this.#announce();
    return true;
  }

  #announce(): void {
    if (!this.#closed) this.#changed.call();
  }

  #now(): number {
    return this.#parts.environment.clock.monotonic();
  }
}

function otherCluster(address: string): BarnabasError {
  return new BarnabasError('INCONSISTENT_CLUSTER_ID', `the node at ${address} belongs to another cluster`, { address });
}
