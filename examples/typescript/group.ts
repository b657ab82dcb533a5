// Shares the partitions of a topic with every other copy of itself that runs, and goes on where the group has
// stopped. Start several, stop one, kill one: the others take over.
import { BarnabasClient } from '@barnabas/client';

const [topic = 'greetings', groupId = 'example', bootstrap = '127.0.0.1:7600'] = process.argv.slice(2);

async function main(): Promise<void> {
  const client = new BarnabasClient({ bootstrap, clientId: 'example-group' });
  const consumer = client.consumer({ groupId, autoOffsetReset: 'earliest' });
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());

  const names = (partitions: readonly { readonly partition: number }[]) =>
    partitions.map(({ partition }) => partition).join(' ');
  consumer.subscribe(topic, {
    onAssigned: (partitions) => console.log(`assigned ${names(partitions)}`),
    onRevoked: (partitions) => console.log(`revoked ${names(partitions)}`),
  });

  // Four records at a time, those of one key in their order.
  await consumer.run({
    signal: stop.signal,
    concurrency: 4,
    orderBy: 'key',
    eachRecord: ({ partition, offset, key, value }) => {
      console.log(`${partition}:${offset} ${key?.toString() ?? '-'} ${value?.toString() ?? '-'}`);
    },
  });
  // Commits what is done and leaves the group.
  await client.close();
}

void main();
