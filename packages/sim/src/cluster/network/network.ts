/**
 * The network of a simulated cluster: an implementation of the transport of @barnabas/rpc in virtual
 * time. Streams are whole and ordered until they break; a way that is cut holds up what is sent over
 * it, until both sides have given the connection up for dead.
 *
 * Owns hosts, connections and the ways between them. What goes wrong is fate's to choose.
 */
import { present } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import type { ServiceRegistration } from '@barnabas/rpc';
import { cancelledHere, routesOf } from '@barnabas/rpc/transport';
import type { OutgoingCall, StreamEnd, Transport, TransportFinder } from '@barnabas/rpc/transport';
import type { Scope } from '../../kernel/scheduler.js';
import type { Stage } from '../../kernel/stage.js';
import type { Envelope } from './call.js';
import { Connection } from './connection.js';
import type { Death, Side } from './connection.js';
import { Host } from './host.js';
import { Links } from './links.js';
import type { LinkPlan } from './links.js';

export interface NetworkPlan extends LinkPlan {
  /** How long a side takes at least, and at most, to find out that nothing gets through any more. */
  readonly keepaliveMs: readonly [least: number, most: number];
  readonly fullAtBytes: number;
}

export class Network {
  readonly links: Links;
  readonly #hosts = new Map<string, Host>();
  #connections: Connection[] = [];

  constructor(
    private readonly stage: Stage,
    private readonly plan: NetworkPlan,
    private readonly heard: (envelope: Envelope) => unknown,
  ) {
    this.links = new Links(stage.dice, plan);
  }

  host(name: string): Host {
    const host = this.#hosts.get(name) ?? new Host(name);
    this.#hosts.set(name, host);
    return host;
  }

  listen(host: Host, scope: Scope, services: readonly ServiceRegistration[], logger: Logger): void {
    const routes = routesOf(services, { interceptors: [], logger, onFault: (fault) => this.stage.fail(fault) });
    host.listener = { scope, routes: new Map(routes.map((route) => [route.name, route])) };
    host.isOff = false;
  }

  /** A process's way to everybody else: what its connector is given. */
  from(host: Host, scope: Scope): TransportFinder {
    return { find: (address) => this.#transport(host, scope, address) };
  }

  /** Nothing of the process runs any more. */
  died(host: Host, scope: Scope, death: Death): void {
    if (host.listener?.scope === scope) host.listener = undefined;
    host.isOff = death === 'power';
    for (const connection of this.#connections) {
      if (connection.client.scope === scope) this.#died(connection, 'client', death);
      if (connection.serverScope === scope) this.#died(connection, 'server', death);
    }
    this.#forget();
  }

  cut(from: string, to: string): void {
    this.links.cut(from, to);
    for (const connection of this.#connections) {
      const names = [connection.client.host.name, connection.serverHost.name];
      if (names.includes(from) && names.includes(to)) this.#watchBoth(connection);
    }
  }

  join(): void {
    this.links.join();
  }

  /** Some connection breaks, for no reason that anybody knows. */
  reset(): void {
    const usable = this.#connections.filter(({ isUsable }) => isUsable);
    if (usable.length > 0) this.#reset(this.stage.dice.pick(usable));
  }

  /** The same, of what the one has opened to the other. */
  resetBetween(client: string, server: string): void {
    const isMeant = ({ client: { host }, serverHost }: Connection) =>
      host.name === client && serverHost.name === server;
    for (const connection of this.#connections.filter(isMeant)) this.#reset(connection);
  }

  #reset(connection: Connection): void {
    connection.breakSide('client');
    connection.breakSide('server');
    this.#forget();
  }

  #transport(host: Host, scope: Scope, address: string): Transport {
    const stream = (call: OutgoingCall, request: unknown): StreamEnd<unknown, unknown> => {
      if (call.signal?.aborted === true) throw cancelledHere();
      return this.#connection(host, scope, this.host(hostOf(address))).open(call, request);
    };
    return {
      stream,
      unary: (call, request) =>
        new Promise((resolve, reject) => {
          let response: unknown;
          stream(call, request).handle({
            onMessage: (message) => (response = message),
            onClose: (error) => (error === undefined ? resolve(present(response, 'an answer')) : reject(error)),
          });
        }),
    };
  }

  #connection(host: Host, scope: Scope, serverHost: Host): Connection {
    const known = this.#connections.find(
      (one) => one.client.scope === scope && one.serverHost === serverHost && one.isUsable,
    );
    if (known !== undefined) return known;
    const { stage, links, heard, plan } = this;
    const lane = { scheduler: stage.scheduler, dice: stage.dice, links, fullAtBytes: plan.fullAtBytes };
    const connection: Connection = new Connection({ host, scope }, serverHost, { lane, heard }, () =>
      this.#watch(connection, 'client'),
    );
    this.#connections.push(connection);
    this.#watch(connection, 'client');
    return connection;
  }

  #died(connection: Connection, side: Side, death: Death): void {
    connection.died(side, death);
    if (death === 'power') this.#watch(connection, side === 'client' ? 'server' : 'client');
  }

  #watchBoth(connection: Connection): void {
    this.#watch(connection, 'client');
    this.#watch(connection, 'server');
  }

  /** In a while this side notices that nothing gets through, if that is still so. */
  #watch(connection: Connection, side: Side): void {
    if (connection.isBroken(side) || !this.#isSilent(connection, side)) return;
    const { scheduler, dice } = this.stage;
    const [least, most] = this.plan.keepaliveMs;
    const name = side === 'client' ? connection.client.host.name : connection.serverHost.name;
    scheduler.after(dice.between(least, most), `${name} keepalive`, () => {
      if (!this.#isSilent(connection, side)) return;
      connection.breakSide(side);
      this.#forget();
    });
  }

  #isSilent(connection: Connection, side: Side): boolean {
    const { client, serverHost } = connection;
    const other: Side = side === 'client' ? 'server' : 'client';
    const there = client.host.name;
    const here = serverHost.name;
    const isOff = side === 'client' ? serverHost.isOff : client.host.isOff;
    return isOff || connection.isBroken(other) || this.links.isCut(there, here) || this.links.isCut(here, there);
  }

  #forget(): void {
    this.#connections = this.#connections.filter(({ isOver }) => !isOver);
  }
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}
