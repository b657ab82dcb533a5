/**
 * Requests that a node passes on to the broker that can answer them. A request goes on once at most,
 * which a header says: two nodes that take each other for a third would send it round.
 */
import { formatAddress } from '@barnabas/common/config';
import { BarnabasError } from '@barnabas/protocol';
import type { CallContext, CallOptions, Connector, ServiceClient, ServiceDefinition } from '@barnabas/rpc';
import { CLIENT_LISTENER, INTERNAL_LISTENER, endpointOf } from '../image.js';
import type { BrokerImage } from '../image.js';

const FORWARDED = 'barnabas-forwarded';

/** For requests that say nothing of their own. */
export const DEFAULT_TIMEOUT_MS = 30_000;

/** Another node has passed this request on to here. */
export function isForwarded(context: CallContext): boolean {
  return context.headers.has(FORWARDED);
}

export interface BrokerCall {
  readonly connector: Connector;
  readonly broker: BrokerImage;
  /** Of the request that is passed on: its time and its end are the call's. */
  readonly context: CallContext;
}

/** BROKER_NOT_AVAILABLE if the request was passed on before, or the broker has no place to be reached at. */
export async function callBroker<S extends ServiceDefinition, Res>(
  { connector, broker, context }: BrokerCall,
  definition: S,
  call: (client: ServiceClient<S>, options: CallOptions) => Promise<Res>,
): Promise<Res> {
  const endpoint = endpointOf(broker, INTERNAL_LISTENER) ?? endpointOf(broker, CLIENT_LISTENER);
  if (isForwarded(context) || endpoint === undefined) {
    throw new BarnabasError('BROKER_NOT_AVAILABLE', `broker ${broker.id} is not where it was: retry`);
  }
  const timeoutMs = Math.min(DEFAULT_TIMEOUT_MS, context.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const options = { timeoutMs, signal: context.signal, headers: { [FORWARDED]: '1' } };
  return await call(connector.channel(formatAddress(endpoint)).client(definition), options);
}
