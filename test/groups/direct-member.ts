/**
 * A member of the groups harness on the TypeScript client, straight to the leaders; says the same lines as
 * examples/clients (test/support/group-member.ts).
 *
 *   node direct-member.js HOST:PORT[,HOST:PORT...] GROUP TOPIC [INSTANCE]
 */
import { BarnabasClient } from '@barnabas/client';
import type { TopicPartition } from '@barnabas/client';

const [addresses = '', groupId = '', topic = '', groupInstanceId = ''] = process.argv.slice(2);
const COMMIT_EVERY_MS = 1_000;
const PAUSE_AFTER_ERROR_MS = 100;

const client = new BarnabasClient({ bootstrap: addresses, clientId: 'direct' });
const consumer = client.consumer({
  groupId,
  groupInstanceId,
  autoOffsetReset: 'earliest',
  autoCommitIntervalMs: COMMIT_EVERY_MS,
  fetchMaxWaitMs: 50,
});
let isStopping = false;

consumer.subscribe([topic], {
  onAssigned: (partitions) => {
    console.log(`joined ${consumer.groupMetadata().memberId} direct`);
    say(
      'assigned',
      partitions.map((one) => `${one.partition}@${positionOf(one)}`),
    );
  },
  onRevoked: (partitions) => say('revoked', partitions.map(numberOf)),
  onLost: (partitions) => say('lost', partitions.map(numberOf)),
});

const numberOf = ({ partition }: TopicPartition) => partition;

function say(what: string, partitions: readonly (string | number)[]): void {
  console.log([what, ...partitions].join(' '));
}

/** Nothing is committed yet where it is being looked up: the group begins with the first record. */
function positionOf(partition: TopicPartition): number {
  try {
    return consumer.position(partition);
  } catch {
    return 0;
  }
}

function stop(): void {
  isStopping = true;
  void consumer.close();
}

async function consume(): Promise<void> {
  for await (const { partition, offset, value } of consumer) {
    console.log(`${partition} ${offset} ${value?.toString() ?? ''}`);
  }
}

async function main(): Promise<void> {
  process.once('SIGINT', stop).once('SIGTERM', stop);
  while (!isStopping) {
    try {
      await consume();
    } catch (error) {
      console.error(error);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_ERROR_MS));
    }
  }
  await client.close();
}

void main();
