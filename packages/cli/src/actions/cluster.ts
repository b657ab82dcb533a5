/** `barnabas cluster describe`. */
import type { Action } from '../command-context.js';
import { formatTable } from '../terminal/table.js';

export const describeCluster: Action<object> = async (context) => {
  const cluster = await context.withClient((client) => client.admin().describeCluster());
  const { output } = context;
  if (context.json) {
    output.json(cluster);
    return undefined;
  }
  const brokers = cluster.brokers.map(({ id, address, rack, fenced }) => [
    String(id),
    address,
    fenced ? 'fenced' : 'serving',
    rack,
  ]);
  const controllers = cluster.controllers.map(({ id, address }) => [
    String(id),
    address,
    id === cluster.controllerId ? 'active' : 'standby',
  ]);
  output.line(`cluster ${cluster.clusterId}`);
  output.line('');
  output.line(formatTable(['broker', 'address', 'state', 'rack'], brokers));
  output.line('');
  output.line(formatTable(['controller', 'address', 'state'], controllers));
  return undefined;
};
