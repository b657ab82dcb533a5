/**
 * What TCP is between two processes: all calls of one process to one address share a connection, and
 * live and die with it. Each side finds out by itself, and in its own time, that the other is gone;
 * what is on its way meanwhile may still arrive.
 */
import type { OutgoingCall } from '@barnabas/rpc/transport';
import type { Scope } from '../../kernel/scheduler.js';
import { Call } from './call.js';
import type { CallParts, Listener } from './call.js';
import type { ClientEnd } from './ends.js';
import type { Host } from './host.js';

/** How a process ends, as its peers see it. */
export type Death =
  /** Its machine lives, and tells whoever was connected. */
  | 'kill'
  /** Nobody says anything. */
  | 'power';

export type Side = 'client' | 'server';

export class Connection {
  readonly #calls = new Set<Call>();
  readonly #broken = new Set<Side>();
  /** Known from the first parcel that arrived. */
  #server: Listener | undefined;

  constructor(
    readonly client: { readonly host: Host; readonly scope: Scope },
    readonly serverHost: Host,
    private readonly parts: Pick<CallParts, 'lane' | 'heard'>,
    /** Something was sent to a machine without power: nobody will ever answer on this connection. */
    private readonly onLost: () => void,
  ) {}

  /** New calls may use it. */
  get isUsable(): boolean {
    return !this.#broken.has('client') && !this.client.scope.isOver;
  }

  get isOver(): boolean {
    return this.#broken.size === 2 || (this.#calls.size === 0 && !this.isUsable);
  }

  get serverScope(): Scope | undefined {
    return this.#server?.scope;
  }

  isBroken(side: Side): boolean {
    return this.#broken.has(side);
  }

  open(outgoing: OutgoingCall, request: unknown): ClientEnd {
    const { host, scope } = this.client;
    const parts: CallParts = {
      ...this.parts,
      client: { name: host.name, scope },
      serverName: this.serverHost.name,
      atServer: () => this.#atServer(),
      atClient: () => !this.#broken.has('client') && !scope.isOver,
      onReset: (side) => this.breakSide(side),
      onOver: () => this.#calls.delete(call),
    };
    const call: Call = new Call(outgoing, parts, request);
    this.#calls.add(call);
    return call.client;
  }

  /** This side takes the connection for dead. */
  breakSide(side: Side): void {
    if (this.#broken.has(side)) return;
    this.#broken.add(side);
    for (const call of this.#calls) {
      if (side === 'client') {
        call.client.lost();
        call.toServer.breakOff('reset');
      } else {
        call.server?.lost();
        call.toClient.breakOff('reset');
      }
    }
  }

  /** The process at this side has ended. */
  died(side: Side, death: Death): void {
    if (this.#broken.has(side)) return;
    this.#broken.add(side);
    for (const call of this.#calls) {
      const out = side === 'client' ? call.toServer : call.toClient;
      if (death === 'kill') out.breakOff('reset');
      else out.lose();
    }
  }

  #atServer(): Listener | 'nobody' | 'silence' {
    const { listener, isOff } = this.serverHost;
    if (isOff) {
      this.#broken.add('server');
      if (!this.#broken.has('client')) this.onLost();
      return 'silence';
    }
    this.#server ??= this.#broken.has('server') ? undefined : listener;
    if (listener === undefined || this.#server !== listener || this.#broken.has('server')) return 'nobody';
    return listener;
  }
}
