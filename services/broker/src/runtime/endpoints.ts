/** What a broker registers as its addresses: what it is told to advertise, or else what it is bound to. */
import { hostname } from 'node:os';
import { CLIENT_LISTENER, INTERNAL_LISTENER } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';
import type { BoundAddress } from '@barnabas/rpc';
import type { BrokerConfig } from '../config.js';

export function endpointsOf(config: BrokerConfig, bound: BoundAddress): internal.Endpoint[] {
  const advertised = config['advertised.listeners'];
  if (advertised !== null) {
    return withInternal(advertised.map(({ name, host, port }) => ({ name, host, port })));
  }
  return withInternal([{ name: CLIENT_LISTENER, host: reachableHost(bound.host), port: bound.port }]);
}

/** Other services use the clients' way where no other is given. */
function withInternal(endpoints: internal.Endpoint[]): internal.Endpoint[] {
  const [first] = endpoints;
  if (first === undefined || endpoints.some(({ name }) => name === INTERNAL_LISTENER)) return endpoints;
  return [...endpoints, { ...first, name: INTERNAL_LISTENER }];
}

/** Nobody else can reach "every interface". */
function reachableHost(host: string): string {
  return host === '' || host === '0.0.0.0' || host === '::' ? hostname() : host;
}
