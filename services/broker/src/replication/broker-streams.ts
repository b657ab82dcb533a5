/** Replication streams over the network: to where the metadata log says that a broker is. */
import { formatAddress } from '@barnabas/common/config';
import { CLIENT_LISTENER, INTERNAL_LISTENER, endpointOf } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import { internal } from '@barnabas/protocol';
import type { Connector } from '@barnabas/rpc';
import { gatheredLeaderStream } from './messages.js';
import type { LeaderStream } from './messages.js';

export function brokerStreams(
  connector: Connector,
  image: () => MetadataImage,
): (brokerId: number) => LeaderStream | undefined {
  return (brokerId) => {
    const broker = image().brokers.get(brokerId);
    if (broker === undefined) return undefined;
    const endpoint = endpointOf(broker, INTERNAL_LISTENER) ?? endpointOf(broker, CLIENT_LISTENER);
    if (endpoint === undefined) return undefined;
    const client = connector.channel(formatAddress(endpoint)).client(internal.ReplicationServiceDefinition);
    return gatheredLeaderStream(client.replicate());
  };
}
