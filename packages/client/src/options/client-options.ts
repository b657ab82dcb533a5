/** Options of a client as a whole. */
import { BarnabasError } from '@barnabas/protocol';
import type { ClientInterceptor, ClientTls, Connector, Environment } from '@barnabas/rpc';
import { CONNECTION_OPTIONS } from './connection-options.js';
import type { ConnectionOptions } from './connection-options.js';
import { illegalOption, listOfObjects, optional, resolveOptions, such, text } from './option-table.js';
import type { OptionTable } from './option-table.js';

export interface ClientOptions extends Partial<ConnectionOptions> {
  /** `host:port` of gateways or brokers, as a list or with commas between. Default 127.0.0.1:7600 (bootstrap.servers). */
  readonly bootstrap?: string | readonly string[];
  /** Tells servers and their logs who is calling. Default empty (client.id). */
  readonly clientId?: string | undefined;
  /** Adds headers to every call: credentials, trace ids. Not together with `connector`. */
  readonly interceptors?: readonly ClientInterceptor[];
  /** Talk TLS. Not together with `connector`. */
  readonly tls?: ClientTls | undefined;
  /** Opens connections instead of the client's own: for roles in the same process, and tests. The client does not close it. */
  readonly connector?: Connector | undefined;
  /** Clock, timers, randomness, logger and metrics. Default the system's, without logs and metrics. */
  readonly environment?: Environment | undefined;
}

type Resolved = Omit<Required<ClientOptions>, 'bootstrap'> & { readonly bootstrap: readonly string[] };

const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[^\s:[\],]+):(\d{1,5})$/;
const anObject = such<object>('an object', (value) => typeof value === 'object' && value !== null);

const CLIENT_OPTIONS: OptionTable<Required<ClientOptions>> = {
  ...CONNECTION_OPTIONS,
  bootstrap: {
    kafka: 'bootstrap.servers',
    type: such<string | readonly string[]>(
      'addresses as host:port',
      (value) => typeof value === 'string' || Array.isArray(value),
    ),
    default: '127.0.0.1:7600',
  },
  clientId: { kafka: 'client.id', type: optional(text), default: undefined },
  interceptors: { type: listOfObjects<ClientInterceptor>(), default: [] },
  tls: { type: optional(anObject as never), default: undefined },
  connector: { type: optional(anObject as never), default: undefined },
  environment: { type: optional(anObject as never), default: undefined },
};

export function resolveClientOptions(given: ClientOptions): Resolved {
  const options = resolveOptions('client', CLIENT_OPTIONS, given);
  const { connector, interceptors, tls } = options;
  if (connector !== undefined && (interceptors.length > 0 || tls !== undefined)) {
    throw new BarnabasError(
      'INVALID_CONFIG',
      'client options interceptors and tls belong to the connector where one is given: give them to it',
    );
  }
  return { ...options, bootstrap: addresses(options.bootstrap) };
}

function addresses(bootstrap: string | readonly string[]): readonly string[] {
  const list = typeof bootstrap === 'string' ? bootstrap.split(',') : bootstrap;
  const trimmed = list.map((address) => String(address).trim()).filter((address) => address !== '');
  if (trimmed.length === 0) throw illegalOption('client', 'bootstrap', bootstrap, 'at least one address as host:port');
  const illegal = trimmed.find(
    (address) => Number(ADDRESS.exec(address)?.[2] ?? 0) < 1 || Number(ADDRESS.exec(address)?.[2]) > 65_535,
  );
  if (illegal !== undefined) throw illegalOption('client', 'bootstrap', illegal, 'addresses as host:port');
  return trimmed;
}
