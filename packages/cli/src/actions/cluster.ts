/** `barnabas cluster describe` and `barnabas brokers list`. */
import type { BrokerDescription, ClusterDescription, TopicDescription } from '@barnabas/client';
import type { Action, CommandContext } from '../command-context.js';
import { formatTable } from '../terminal/table.js';

export const describeCluster: Action<object> = async (context) => {
  const { cluster, brokers } = await look(context);
  const { output } = context;
  if (context.json) {
    output.json({ ...cluster, brokers });
    return undefined;
  }
  const controllers = cluster.controllers.map(({ id, address }) => [
    String(id),
    address,
    id === cluster.controllerId ? 'active' : 'standby',
  ]);
  output.line(`cluster ${cluster.clusterId}`);
  output.line('');
  output.line(brokerTable(brokers));
  output.line('');
  output.line(formatTable(['controller', 'address', 'state'], controllers));
  return undefined;
};

export const listBrokers: Action<object> = async (context) => {
  const { brokers } = await look(context);
  if (context.json) context.output.json(brokers);
  else if (brokers.length === 0)
    context.note('no broker has registered: start one with "barnabas start --role broker"');
  else context.output.line(brokerTable(brokers));
  return undefined;
};

interface CountedBroker extends BrokerDescription {
  readonly leaders: number;
  readonly replicas: number;
}

interface Looked {
  readonly cluster: ClusterDescription;
  readonly brokers: readonly CountedBroker[];
}

function look(context: CommandContext): Promise<Looked> {
  return context.withClient(async (client) => {
    const admin = client.admin();
    const [cluster, topics] = await Promise.all([admin.describeCluster(), admin.listTopics({ internal: true })]);
    return { cluster, brokers: counted(cluster.brokers, topics) };
  });
}

function counted(brokers: readonly BrokerDescription[], topics: readonly TopicDescription[]): readonly CountedBroker[] {
  const leaders = new Map<number, number>();
  const replicas = new Map<number, number>();
  const add = (counts: Map<number, number>, id: number) => void counts.set(id, (counts.get(id) ?? 0) + 1);
  for (const { partitions } of topics) {
    for (const partition of partitions) {
      add(leaders, partition.leader);
      for (const id of partition.replicas) add(replicas, id);
    }
  }
  return brokers.map((broker) => ({
    ...broker,
    leaders: leaders.get(broker.id) ?? 0,
    replicas: replicas.get(broker.id) ?? 0,
  }));
}

function brokerTable(brokers: readonly CountedBroker[]): string {
  const rows = brokers.map((broker) => [
    String(broker.id),
    broker.address,
    stateOf(broker),
    String(broker.leaders),
    String(broker.replicas),
    broker.rack,
  ]);
  return formatTable(['broker', 'address', 'state', 'leaders', 'replicas', 'rack'], rows);
}

function stateOf({ fenced, inControlledShutdown, decommissioning }: BrokerDescription): string {
  const life = fenced ? 'fenced' : inControlledShutdown ? 'shutting down' : 'serving';
  return decommissioning ? `${life}, decommissioning` : life;
}
