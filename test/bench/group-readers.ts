/**
 * How fast members of groups read: a controller, a broker and a gateway, each in a process of its own,
 * and this process as the members. The same records are read without a group, by TypeScript consumers in
 * groups straight from the broker, and through the gateway by Subscribe, as a client in any language would.
 */
import { BarnabasClient } from '@barnabas/client';
import type { Consumer, TopicPartition } from '@barnabas/client';
import { errorFromProto, v1 } from '@barnabas/protocol';
import { createConnector } from '@barnabas/rpc';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { ChaosCluster } from '../chaos/cluster.js';
import { median } from './measure.js';
import { Workload } from './workload.js';

/** Enough that each of eight members has one. */
const PARTITIONS = 8;
const RECORD_BYTES = 1024;

export interface ReaderFigures {
  /** Without a group. */
  readonly alone: number;
  /** One TypeScript consumer in a group. */
  readonly direct: number;
  /** Several of them, by how many they are. */
  readonly members: ReadonlyMap<number, number>;
  /** One member through the gateway. */
  readonly subscribed: number;
  /** Of the one through the gateway to one straight from the broker, each round of its own. */
  readonly ratios: readonly number[];
}

/**
 * Records a second of each kind of reader. One member and one through the gateway take turns, since a
 * machine that others use too is not as fast in one minute as in the next; the ratio is that of one turn.
 */
export async function groupReaders(
  directory: string,
  totalBytes: number,
  memberCounts: readonly number[],
  rounds: number,
): Promise<ReaderFigures> {
  const dataDir = fs.mkdtempSync(path.join(directory, 'readers-'));
  const cluster = await ChaosCluster.start({
    shape: { controllers: 1, brokers: 1, gateways: 1 },
    dataDir,
    set: {},
    logLevel: 'error',
    isDirect: true,
    onUnexpectedExit: (node, how) => {
      throw new Error(`${node.name} ${how}`);
    },
  });
  const client = new BarnabasClient({ bootstrap: cluster.bootstrap, clientId: 'bench' });
  try {
    const workload = new Workload(client, { serverPids: () => [], replicationFactor: 1 });
    const shape = { acks: 'all' as const, recordBytes: RECORD_BYTES, fsync: false, partitions: PARTITIONS };
    const { topic, records } = await workload.produce({ ...shape, totalBytes });
    // Compiled code is part of a server's normal state, and the page cache of a busy topic's.
    await workload.consume(topic, records, PARTITIONS);
    const alone = (await workload.consume(topic, records, PARTITIONS)).recordsPerSecond;
    const members = new Map<number, number>();
    for (const count of memberCounts) {
      members.set(count, await readInGroup(client, topic, records, { groupId: `bench-${count}`, count }));
    }
    const [gateway = ''] = cluster.bootstrap;
    await subscribe(gateway, 'warm', topic, records);
    const turns: { readonly direct: number; readonly subscribed: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const direct = await readInGroup(client, topic, records, { groupId: `direct-${round}`, count: 1 });
      turns.push({ direct, subscribed: await subscribe(gateway, `subscribed-${round}`, topic, records) });
    }
    return {
      alone,
      direct: median(turns.map(({ direct }) => direct)),
      members,
      subscribed: median(turns.map(({ subscribed }) => subscribed)),
      ratios: turns.map(({ direct, subscribed }) => subscribed / direct),
    };
  } finally {
    await client.close();
    await cluster.close();
    fs.rmSync(dataDir, { recursive: true, force: true });
  }
}

/** From when the partitions are divided, so that rebalancing does not count. */
async function readInGroup(
  client: BarnabasClient,
  topic: string,
  records: number,
  { groupId, count }: { readonly groupId: string; readonly count: number },
): Promise<number> {
  const shares = new Map<Consumer, readonly TopicPartition[]>();
  let onDivided: () => void = () => {};
  const divided = new Promise<void>((resolve) => (onDivided = resolve));
  let seen = 0;
  const members = Array.from({ length: count }, () => {
    const consumer = client.consumer({ groupId, autoOffsetReset: 'earliest' });
    const share = (partitions: readonly TopicPartition[]) => {
      shares.set(consumer, partitions);
      const isFair = [...shares.values()].every(({ length }) => length === PARTITIONS / count);
      if (shares.size === count && isFair) onDivided();
    };
    consumer.subscribe([topic], {
      onAssigned: (partitions) => {
        consumer.pause(partitions);
        share([...(shares.get(consumer) ?? []), ...partitions]);
      },
      onRevoked: (partitions) => share((shares.get(consumer) ?? []).filter((one) => !holds(partitions, one))),
    });
    return consumer;
  });
  const reading = members.map(async (consumer) => {
    for await (const batch of consumer.batches()) {
      for (const record of batch.records) if (record.value !== null) seen++;
      if (seen >= records) await Promise.all(members.map((member) => member.close()));
    }
  });
  await divided;
  const began = performance.now();
  for (const [consumer, partitions] of shares) consumer.resume(partitions);
  await Promise.race(reading);
  const rate = records / ((performance.now() - began) / 1000);
  await Promise.allSettled(reading);
  return rate;
}

/** A member in one stream, from its first records on. */
async function subscribe(gateway: string, groupId: string, topic: string, records: number): Promise<number> {
  const connector = createConnector();
  const stream = connector.channel(gateway).client(v1.GroupServiceDefinition).subscribe();
  const say = (request: NonNullable<v1.SubscribeRequest['request']>) => stream.write({ request });
  let seen = 0;
  let began = 0;
  try {
    return await new Promise<number>((resolve, reject) => {
      stream.handle({
        onMessage: ({ response }) => {
          if (response?.$case === 'partitionError' || response?.$case === 'lost') {
            const { error } = response.$case === 'lost' ? response.lost : response.partitionError;
            reject(error === undefined ? new Error('the membership was lost') : errorFromProto(error));
          }
          if (response?.$case !== 'records') return;
          began ||= performance.now();
          const { partition, records: pushed, nextOffset } = response.records;
          for (const record of pushed) if (record.value !== undefined) seen++;
          const position = v1.SubscribePosition.create({ topic, partition, offset: nextOffset });
          say({ $case: 'ack', ack: { positions: [position] } });
          if (seen >= records) resolve(records / ((performance.now() - began) / 1000));
        },
        onClose: (error) => reject(error ?? new Error('the stream is over')),
      });
      const reset = v1.AutoOffsetReset.EARLIEST;
      say({ $case: 'start', start: v1.SubscribeStart.create({ groupId, topics: [topic], autoOffsetReset: reset }) });
    });
  } finally {
    stream.end();
    connector.close();
  }
}

function holds(partitions: readonly TopicPartition[], { topic, partition }: TopicPartition): boolean {
  return partitions.some((one) => one.topic === topic && one.partition === partition);
}
