/**
 * Voters connected over @barnabas/rpc: one bidirectional stream for each pair, opened by the one with
 * the lower id, opened again with growing pauses when it ends, and used only after both sides have
 * said who they are and to which cluster they belong.
 */
import type { Clock, Logger, Random, Timer, Timers } from '@barnabas/common';
import { BarnabasError, internal } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { Connector, MessageStream, ServiceRegistration } from '@barnabas/rpc';
import type { PeerMessage } from '../peer-message.js';
import type { Voter } from '../types.js';
import { Link } from './link.js';
import type { LinkStream } from './link.js';
import type { RaftTransport } from './types.js';

export interface GrpcTransportOptions {
  readonly nodeId: number;
  readonly clusterId: string;
  readonly voters: readonly Voter[];
  readonly connector: Connector;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/** The transport for `startRaft`, and the service that the node's server must offer for it. */
export function createGrpcTransport(options: GrpcTransportOptions): {
  readonly transport: RaftTransport;
  readonly service: ServiceRegistration;
} {
  const transport = new GrpcTransport(options);
  return { transport, service: transport.service };
}

type Incoming = MessageStream<internal.ConnectRequest, internal.ConnectResponse>;
type Outgoing = MessageStream<internal.ConnectResponse, internal.ConnectRequest>;

class GrpcTransport implements RaftTransport {
  readonly service: ServiceRegistration;
  readonly #links = new Map<number, Link>();
  readonly #redials = new Map<number, Timer>();
  /** The last complaint about each voter, so that a lasting one is logged once. */
  readonly #complaints = new Map<number, string>();
  #receive: ((message: PeerMessage) => void) | undefined;
  #stopped = false;

  constructor(readonly options: GrpcTransportOptions) {
    this.service = service(internal.RaftServiceDefinition, { connect: (stream) => this.#accept(stream) });
    for (const { id } of options.voters) {
      if (id === options.nodeId) continue;
      const receive = (message: PeerMessage): void => this.#receive?.(message);
      this.#links.set(id, new Link(options.nodeId, id, options.clock, receive));
    }
  }

  start(receive: (message: PeerMessage) => void): void {
    this.#receive = receive;
    for (const voter of this.options.voters) if (voter.id > this.options.nodeId) this.#dial(voter, FIRST_PAUSE_MS);
  }

  send(message: PeerMessage): void {
    if (message.type !== 'installSnapshot') this.#links.get(message.to)?.send(message);
  }

  stop(): void {
    this.#stopped = true;
    this.#receive = undefined;
    for (const timer of this.#redials.values()) timer.cancel();
    for (const link of this.#links.values()) link.close();
  }

  #dial(voter: Voter, pauseMs: number): void {
    if (this.#stopped) return;
    const link = this.#links.get(voter.id);
    if (link === undefined) return;
    const channel = this.options.connector.channel(voter.endpoint);
    const stream: Outgoing = channel.client(internal.RaftServiceDefinition).connect();
    const end: LinkStream = {
      write: (message) => void stream.write({ part: { $case: 'message', message } }),
      cancel: () => stream.cancel(),
      get bufferedBytes() {
        return stream.bufferedBytes;
      },
    };
    let greeted = false;
    stream.handle({
      onMessage: ({ part }) => {
        if (part?.$case === 'message') {
          if (greeted) link.onMessage(end, part.message);
        } else if (!greeted && part?.$case === 'hello') {
          const mismatch = this.#mismatch(part.hello, voter.id);
          if (mismatch !== undefined) {
            this.#warn(voter, mismatch);
            stream.cancel();
            return;
          }
          greeted = true;
          this.#complaints.delete(voter.id);
          link.attach(end);
        }
      },
      onClose: (error) => {
        link.detach(end);
        if (error !== undefined && error.errorName !== 'NETWORK_EXCEPTION') this.#warn(voter, error);
        this.#redial(voter, greeted ? FIRST_PAUSE_MS : pauseMs);
      },
    });
    stream.write({ part: { $case: 'hello', hello: this.#hello(voter.id) } });
  }

  #redial(voter: Voter, pauseMs: number): void {
    if (this.#stopped) return;
    // Random, so that the nodes of a cluster that came back together do not knock together.
    const delayMs = Math.ceil(pauseMs * (0.5 + this.options.random.float() / 2));
    const dial = (): void => this.#dial(voter, Math.min(pauseMs * 2, LONGEST_PAUSE_MS));
    this.#redials.set(voter.id, this.options.timers.after(delayMs, dial));
  }

  #accept(stream: Incoming): void {
    let link: Link | undefined;
    const end: LinkStream = {
      write: (message) => void stream.write({ part: { $case: 'message', message } }),
      cancel: () => stream.cancel(),
      get bufferedBytes() {
        return stream.bufferedBytes;
      },
    };
    stream.handle({
      onMessage: ({ part }) => {
        if (part?.$case === 'message') {
          link?.onMessage(end, part.message);
        } else if (link === undefined && part?.$case === 'hello') {
          const mismatch = this.#mismatch(part.hello);
          if (mismatch !== undefined) {
            stream.end(mismatch);
            return;
          }
          link = this.#links.get(part.hello.from);
          stream.write({ part: { $case: 'hello', hello: this.#hello(part.hello.from) } });
          link?.attach(end);
        }
      },
      onEnd: () => stream.end(),
      onClose: () => link?.detach(end),
    });
  }

  #hello(to: number): internal.RaftHello {
    return { clusterId: this.options.clusterId, from: this.options.nodeId, to };
  }

  /** Why a stream cannot be used. A caller's id must be that of a voter who is to call; the one called, the one meant. */
  #mismatch(hello: internal.RaftHello, expected?: number): BarnabasError | undefined {
    const { clusterId, nodeId } = this.options;
    if (this.#stopped || this.#receive === undefined) {
      return new BarnabasError('NETWORK_EXCEPTION', `controller ${nodeId} is not ready for its quorum yet`);
    }
    if (hello.clusterId !== clusterId) {
      return new BarnabasError(
        'INCONSISTENT_CLUSTER_ID',
        `node ${hello.from} belongs to cluster ${hello.clusterId}, node ${nodeId} to ${clusterId}: correct controller.quorum.voters`,
      );
    }
    const known = expected === undefined ? this.#links.has(hello.from) && hello.from < nodeId : hello.from === expected;
    if (!known) {
      return new BarnabasError(
        'INCONSISTENT_VOTER_SET',
        `node ${hello.from} is not the voter that node ${nodeId} expects here: make controller.quorum.voters the same on all`,
      );
    }
    if (hello.to !== nodeId) {
      return new BarnabasError(
        'INVALID_REQUEST',
        `this is node ${nodeId}, not ${hello.to}: correct the voter's address`,
      );
    }
    return undefined;
  }

  #warn(voter: Voter, error: BarnabasError): void {
    if (this.#stopped || this.#complaints.get(voter.id) === error.message) return;
    this.#complaints.set(voter.id, error.message);
    this.options.logger.warn('another voter cannot be reached', {
      voter: voter.id,
      endpoint: voter.endpoint,
      reason: error.message,
      action: 'check controller.quorum.voters and the cluster ids on both nodes',
    });
  }
}
