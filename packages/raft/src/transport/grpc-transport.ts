/**
 * Nodes connected over @barnabas/rpc by bidirectional streams, opened again with growing pauses when
 * they end, and used only after both sides have said who they are, which disk they have, and to which
 * cluster they belong. Whom to call, the driver says; whoever calls and is of this cluster is listened
 * to: what a node may say is decided by the configuration, not here.
 */
import type { Clock, Logger, Random, Timer, Timers } from '@barnabas/common';
import { BarnabasError, internal } from '@barnabas/protocol';
import { service } from '@barnabas/rpc';
import type { Connector, MessageStream, ServiceRegistration } from '@barnabas/rpc';
import type { ReplicaId } from '../core/index.js';
import type { PeerMessage } from '../peer-message.js';
import { Link } from './link.js';
import type { LinkStream } from './link.js';
import type { DialTarget, RaftTransport, TransportSelf } from './types.js';

export interface GrpcTransportOptions {
  readonly connector: Connector;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** In a hello: whoever is at that address. */
const ANYBODY = -1;

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

/** The calls to one address, one after another. */
interface Dial {
  target: DialTarget;
  /** To whoever is there, once greeted. */
  link: Link | undefined;
  redial: Timer | undefined;
  /** The last complaint, so that a lasting one is logged once. */
  complaint: string | undefined;
}

class GrpcTransport implements RaftTransport {
  readonly service: ServiceRegistration;
  /** By node id and directory id. */
  readonly #links = new Map<string, Link>();
  /** By address; only those that are asked for. */
  readonly #dials = new Map<string, Dial>();
  #self: TransportSelf | undefined;
  #receive: ((message: PeerMessage) => void) | undefined;
  #stopped = false;

  constructor(readonly options: GrpcTransportOptions) {
    this.service = service(internal.RaftServiceDefinition, { connect: (stream) => this.#accept(stream) });
  }

  start(self: TransportSelf, receive: (message: PeerMessage) => void): void {
    this.#self = self;
    this.#receive = receive;
  }

  connect(targets: readonly DialTarget[]): void {
    if (this.#stopped) return;
    const wanted = new Map(targets.map((target) => [target.endpoint, target]));
    for (const [endpoint, dial] of this.#dials) {
      if (wanted.has(endpoint)) continue;
      dial.redial?.cancel();
      this.#dials.delete(endpoint);
    }
    for (const [endpoint, target] of wanted) {
      const known = this.#dials.get(endpoint);
      if (known !== undefined) {
        known.target = target;
        continue;
      }
      const dial: Dial = { target, link: undefined, redial: undefined, complaint: undefined };
      this.#dials.set(endpoint, dial);
      this.#dial(dial, FIRST_PAUSE_MS);
    }
  }

  send(message: PeerMessage): void {
    if (message.type === 'installSnapshot') return;
    if (message.type === 'announce') this.#dials.get(message.toEndpoint)?.link?.send(message);
    else this.#links.get(keyOf({ id: message.to, directoryId: message.toDirectory }))?.send(message);
  }

  stop(): void {
    this.#stopped = true;
    this.#receive = undefined;
    for (const { redial } of this.#dials.values()) redial?.cancel();
    this.#dials.clear();
    for (const link of this.#links.values()) link.close();
  }

  #dial(dial: Dial, pauseMs: number): void {
    if (this.#stopped || this.#self === undefined) return;
    const channel = this.options.connector.channel(dial.target.endpoint);
    const stream: Outgoing = channel.client(internal.RaftServiceDefinition).connect();
    const end = endOf(stream);
    let link: Link | undefined;
    stream.handle({
      onMessage: ({ part }) => {
        if (part?.$case === 'message') {
          link?.onMessage(end, part.message);
        } else if (link === undefined && part?.$case === 'hello') {
          const mismatch = this.#mismatch(part.hello, dial.target.id);
          if (mismatch !== undefined) {
            this.#warn(dial, mismatch);
            stream.cancel();
            return;
          }
          dial.complaint = undefined;
          link = this.#linkTo({ id: part.hello.from, directoryId: part.hello.fromDirectory });
          link?.attach(end);
          dial.link = link;
        }
      },
      onClose: (error) => {
        dial.link = undefined;
        this.#detach(link, end);
        if (error !== undefined && error.errorName !== 'NETWORK_EXCEPTION') this.#warn(dial, error);
        this.#redial(dial, link === undefined ? pauseMs : FIRST_PAUSE_MS);
      },
    });
    stream.write({ part: { $case: 'hello', hello: this.#hello(this.#self, dial.target.id ?? ANYBODY) } });
  }

  #redial(dial: Dial, pauseMs: number): void {
    if (this.#stopped || this.#dials.get(dial.target.endpoint) !== dial) return;
    // Random, so that the nodes of a cluster that came back together do not knock together.
    const delayMs = Math.ceil(pauseMs * (0.5 + this.options.random.float() / 2));
    const again = (): void => this.#dial(dial, Math.min(pauseMs * 2, LONGEST_PAUSE_MS));
    dial.redial = this.options.timers.after(delayMs, again);
  }

  #accept(stream: Incoming): void {
    let link: Link | undefined;
    const end = endOf(stream);
    stream.handle({
      onMessage: ({ part }) => {
        if (part?.$case === 'message') {
          link?.onMessage(end, part.message);
        } else if (link === undefined && part?.$case === 'hello') {
          const mismatch = this.#mismatch(part.hello);
          if (mismatch !== undefined || this.#self === undefined) {
            stream.end(mismatch);
            return;
          }
          const { from, fromDirectory } = part.hello;
          link = this.#linkTo({ id: from, directoryId: fromDirectory });
          stream.write({ part: { $case: 'hello', hello: this.#hello(this.#self, from) } });
          link?.attach(end);
        }
      },
      onEnd: () => stream.end(),
      onClose: () => this.#detach(link, end),
    });
  }

  #linkTo(peer: ReplicaId): Link | undefined {
    if (this.#self === undefined) return undefined;
    const { nodeId: id, directoryId } = this.#self;
    const known = this.#links.get(keyOf(peer));
    if (known !== undefined) return known;
    const link = new Link({ id, directoryId }, peer, this.options.clock, (message) => this.#receive?.(message));
    this.#links.set(keyOf(peer), link);
    return link;
  }

  #detach(link: Link | undefined, end: LinkStream): void {
    link?.detach(end);
    if (link?.isEmpty === true && this.#links.get(keyOf(link.peer)) === link) this.#links.delete(keyOf(link.peer));
  }

  #hello({ clusterId, nodeId: from, directoryId: fromDirectory }: TransportSelf, to: number): internal.RaftHello {
    return { clusterId, from, fromDirectory, to };
  }

  /** Why a stream cannot be used. `expected`: who should be at the other end. */
  #mismatch(hello: internal.RaftHello, expected?: number): BarnabasError | undefined {
    const self = this.#self;
    if (this.#stopped || self === undefined || this.#receive === undefined) {
      return new BarnabasError('NETWORK_EXCEPTION', 'this controller is not ready for its quorum yet');
    }
    const { clusterId, nodeId, directoryId } = self;
    if (hello.clusterId !== clusterId) {
      return new BarnabasError(
        'INCONSISTENT_CLUSTER_ID',
        `node ${hello.from} belongs to cluster ${hello.clusterId}, node ${nodeId} to ${clusterId}: correct the addresses of the controllers`,
      );
    }
    if (hello.from === nodeId && hello.fromDirectory === directoryId) {
      return new BarnabasError('INVALID_REQUEST', `node ${nodeId} has called itself`);
    }
    if (expected !== undefined && hello.from !== expected) {
      return new BarnabasError(
        'INVALID_REQUEST',
        `node ${hello.from} is where node ${nodeId} expects node ${expected}: correct the voter's address`,
      );
    }
    if (hello.to !== nodeId && hello.to !== ANYBODY) {
      return new BarnabasError(
        'INVALID_REQUEST',
        `this is node ${nodeId}, not ${hello.to}: correct the voter's address`,
      );
    }
    return undefined;
  }

  #warn(dial: Dial, error: BarnabasError): void {
    if (this.#stopped || dial.complaint === error.message) return;
    dial.complaint = error.message;
    this.options.logger.warn('another controller cannot be reached', {
      endpoint: dial.target.endpoint,
      ...(dial.target.id === undefined ? {} : { voter: dial.target.id }),
      reason: error.message,
      action: 'check the addresses of the controllers and the cluster ids on both nodes',
    });
  }
}

function endOf(stream: Incoming | Outgoing): LinkStream {
  return {
    write: (message) => void stream.write({ part: { $case: 'message', message } }),
    cancel: () => stream.cancel(),
    get bufferedBytes() {
      return stream.bufferedBytes;
    },
  };
}

const keyOf = ({ id, directoryId }: ReplicaId): string => `${id}/${directoryId}`;
