// Prints every record of a topic from the beginning, and then what comes, until it is interrupted.
import { BarnabasClient } from '@barnabas/client';

const [topic = 'greetings', bootstrap = '127.0.0.1:7600'] = process.argv.slice(2);

async function main(): Promise<void> {
  const client = new BarnabasClient({ bootstrap, clientId: 'example-consume' });
  process.once('SIGINT', () => void client.close());

  const [description] = await client.admin().describeTopics([topic]);
  const consumer = client.consumer({ autoOffsetReset: 'earliest' });
  await consumer.assign((description?.partitions ?? []).map(({ partition }) => ({ topic, partition })));

  // Ends when the client is closed.
  for await (const { partition, offset, key, value } of consumer) {
    console.log(`${partition}:${offset} ${key?.toString() ?? '-'} ${value?.toString() ?? '-'}`);
  }
}

void main();
