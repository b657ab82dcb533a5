/**
 * Ways into a cluster, for whoever sends: the node that serves a partition now, and calls to it or
 * to any node. The one object that producers, fetchers, admin and a gateway share.
 *
 * Owns no streams: those are LeaderProduceStream and LeaderFetchStream. Does not decide what to
 * retry: whoever sends does, and reports here what it learned.
 */
import { currentLeaderOf } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import type { CallOptions, Channel, Environment } from '@barnabas/rpc';
import type { ConnectionOptions } from '../options/connection-options.js';
import type { TopicPartition } from '../records.js';
import { BrokerEndpoints } from './broker-endpoints.js';
import type { Endpoint } from './broker-endpoints.js';
import type { ClusterView } from './cluster-view.js';
import type { NodeCallOptions, NodePool } from './node-pool.js';

export interface ClusterRouterParts {
  readonly view: ClusterView;
  readonly pool: NodePool;
  readonly environment: Environment;
  readonly options: ConnectionOptions;
}

/** Where a partition's requests go, and which leader that is for. */
export interface LeaderEndpoint extends Endpoint {
  readonly leaderEpoch: number;
}

/**
 * A leader in one epoch, by the way it is reached. Whoever waits after a failure need not wait for
 * another one. The address is left out: of several gateways that are all gone, each would be another.
 */
export function leaderName({ brokerId, leaderEpoch, isDirect }: LeaderEndpoint): string {
  return `${brokerId}/${leaderEpoch}/${isDirect ? 'direct' : 'through'}`;
}

export class ClusterRouter {
  readonly view: ClusterView;
  readonly #parts: ClusterRouterParts;
  readonly #endpoints: BrokerEndpoints;

  constructor(parts: ClusterRouterParts) {
    this.view = parts.view;
    this.#parts = parts;
    this.#endpoints = new BrokerEndpoints(parts);
  }

  get environment(): Environment {
    return this.#parts.environment;
  }

  get options(): ConnectionOptions {
    return this.#parts.options;
  }

  /**
   * The node that serves the partition now. Undefined while it has no leader, is unknown, or its
   * leader is being probed: `onChange` tells when to ask again, and newer metadata is asked for here.
   */
  leader(topic: string, partition: number): LeaderEndpoint | undefined {
    const known = this.view.topic(topic)?.partitions[partition];
    if (known === undefined || known.leader < 0) {
      this.view.requestRefresh();
      return undefined;
    }
    const endpoint = this.#endpoints.endpoint(known.leader);
    return endpoint === undefined ? undefined : { ...endpoint, leaderEpoch: known.leaderEpoch };
  }

  /** A replica beside the leader; undefined while it cannot be reached itself. */
  replica({ leaderEpoch }: LeaderEndpoint, brokerId: number): LeaderEndpoint | undefined {
    const endpoint = this.#endpoints.endpoint(brokerId);
    return endpoint?.isDirect === true ? { ...endpoint, leaderEpoch } : undefined;
  }

  channel(address: string): Channel {
    return this.#parts.pool.channel(address);
  }

  /** A call that any node can answer; see NodePool. */
  callAnyNode<T>(run: (channel: Channel, options: CallOptions) => Promise<T>, options?: NodeCallOptions): Promise<T> {
    return this.#parts.pool.call(run, options);
  }

  /** The endpoint has answered. */
  reportAnswer(endpoint: Endpoint): void {
    this.#parts.pool.succeeded(endpoint.address);
  }

  /** A stream or call to the endpoint broke off, or was not answered. */
  reportUnreachable(endpoint: Endpoint): void {
    this.#endpoints.failed(endpoint);
    this.view.requestRefresh();
  }

  /** The endpoint refused something of a partition: what that says about metadata and routing. */
  reportRefusal(endpoint: Endpoint, { topic, partition }: TopicPartition, error: BarnabasError): void {
    const isElsewhere = error.errorName === 'NOT_LEADER_OR_FOLLOWER' || error.errorName === 'NOT_COORDINATOR';
    if (isElsewhere) this.#endpoints.doesNotPassOn(endpoint);
    if (error.errorName === 'UNKNOWN_LEADER_EPOCH') {
      // The node is behind, or the topic was made anew and what is known here is of the old one.
      this.#endpoints.isBehind(endpoint);
      this.view.doubtLeader(topic, partition);
      this.view.requestRefresh();
    }
    const leader = currentLeaderOf(error);
    if (leader !== undefined) {
      const known = this.view.topic(topic)?.partitions[partition];
      const isBelieved = known?.leader === endpoint.brokerId && leader.leaderEpoch < known.leaderEpoch;
      if (isBelieved) this.view.doubtLeader(topic, partition);
      this.view.learnLeader(topic, partition, leader);
    }
    if (error.action === 'refresh-metadata' || error.action === 'retry-elsewhere') this.view.requestRefresh();
  }

  /** Calls back when `leader` may answer otherwise than before. */
  onChange(listener: () => void): () => void {
    const stops = [this.view.onChange(listener), this.#endpoints.onChange(listener)];
    return () => {
      for (const stop of stops) stop();
    };
  }

  close(): void {
    this.#endpoints.close();
  }
}
