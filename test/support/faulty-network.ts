/**
 * The network between the nodes of a cluster on this machine, which can be cut and slowed down for
 * each pair of nodes and each direction. Every node advertises an address of this network; what is
 * dialled there is passed on to where the node really listens.
 *
 * Who dials is found out by `whoDials`; bytes from node A to node B pass along the link (A, B),
 * whichever of the two has opened the connection. A connection that is opened across a cut link hangs
 * until it is mended, as its SYN would.
 */
import { createServer, connect } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { Flow, Link } from './link.js';
import type { LinkTime } from './link.js';

export interface FaultyNetworkOptions extends LinkTime {
  /** The name of the node at the other end of an accepted connection. */
  readonly whoDials: (socket: Socket) => string;
}

interface Connection {
  readonly from: string;
  readonly to: string;
  readonly client: Socket;
  server: Socket | undefined;
}

export class FaultyNetwork {
  readonly #options: FaultyNetworkOptions;
  readonly #links = new Map<string, Link>();
  readonly #servers: Server[] = [];
  readonly #targets = new Map<string, number>();
  readonly #connections = new Set<Connection>();

  constructor(options: FaultyNetworkOptions) {
    this.#options = options;
  }

  /** Opens the way to a node that listens, or will, at `targetPort` of this machine. Returns the port to advertise. */
  async open(node: string, targetPort: number): Promise<number> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(node, socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    this.#servers.push(server);
    this.#targets.set(node, targetPort);
    return (server.address() as AddressInfo).port;
  }

  /** The way from one node to another. */
  link(from: string, to: string): Link {
    const name = `${from} > ${to}`;
    let link = this.#links.get(name);
    if (link === undefined) {
      link = new Link(this.#options);
      this.#links.set(name, link);
    }
    return link;
  }

  /** Dials what has hung at cut links that are whole now. To be called after mending. */
  dialPending(): void {
    for (const connection of this.#connections) this.#dial(connection);
  }

  /** Breaks every connection between the two off, as a box in between does that has forgotten them. */
  reset(one: string, other: string): void {
    for (const { from, to, client, server } of [...this.#connections]) {
      if (!(from === one && to === other) && !(from === other && to === one)) continue;
      client.resetAndDestroy();
      server?.resetAndDestroy();
    }
  }

  async close(): Promise<void> {
    for (const { client, server } of [...this.#connections]) {
      client.destroy();
      server?.destroy();
    }
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #accept(to: string, client: Socket): void {
    client.on('error', () => {});
    const connection: Connection = { from: this.#options.whoDials(client), to, client, server: undefined };
    this.#connections.add(connection);
    client.once('close', () => {
      if (connection.server === undefined) this.#connections.delete(connection);
    });
    this.#dial(connection);
  }

  /** Once both ways are open. */
  #dial(connection: Connection): void {
    const { from, to, client } = connection;
    const [there, back] = [this.link(from, to), this.link(to, from)];
    if (connection.server !== undefined || client.destroyed || there.isCut || back.isCut) return;
    const server = connect({ host: '127.0.0.1', port: this.#targets.get(to) ?? 0, allowHalfOpen: true, noDelay: true });
    connection.server = server;
    server.on('error', () => {});
    server.once('close', () => {
      this.#connections.delete(connection);
      // A node that is not there refuses at once; a connection that has ended has told so by its flow.
      if (!flowsBegun) client.resetAndDestroy();
    });
    let flowsBegun = false;
    server.once('connect', () => {
      flowsBegun = true;
      new Flow(there, client, server, this.#options);
      new Flow(back, server, client, this.#options);
    });
  }
}
