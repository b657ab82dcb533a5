/** Brokers and addresses as the wire has them. */
import type { v1 } from '@barnabas/protocol';
import type { BrokerNode } from './cluster-view.js';

/** `host:port`; an IPv6 host stands in brackets. */
export function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export function fromWireBroker(broker: v1.Broker): BrokerNode {
  const { id, rack, fenced } = broker;
  return { id, address: addressOf(broker), rack, fenced };
}
