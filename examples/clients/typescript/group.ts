/**
 * A member of a group: shares the partitions of a topic, prints their records, and acknowledges them.
 *
 *   node group.js HOST:PORT[,HOST:PORT...] GROUP TOPIC [INSTANCE]
 */
import { credentials, loadPackageDefinition, status } from '@grpc/grpc-js';
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from './gen/group_service';
import type { SubscribeRequest } from './gen/barnabas/v1/SubscribeRequest';
import type { SubscribeResponse__Output as SubscribeResponse } from './gen/barnabas/v1/SubscribeResponse';

const [addresses = '', groupId, topic = '', instanceId = ''] = process.argv.slice(2);
const file = 'barnabas/v1/group_service.proto';
const definition = loadSync(file, {
  includeDirs: [process.env.PROTO ?? 'proto'],
  longs: Number,
  enums: String,
  oneofs: true,
  defaults: true,
});
const { barnabas } = loadPackageDefinition(definition) as unknown as ProtoGrpcType;

/** Of the partitions that are ours: the next offset. */
const positions = new Map<number, number>();
/** Who we are, to go on with when a stream breaks. */
const member = { memberId: '', memberEpoch: 0, incarnation: 0 };
const positionOf = (partition: number) => ({ topic, partition, offset: positions.get(partition) ?? 0 });
const FINAL = [
  status.INVALID_ARGUMENT,
  status.FAILED_PRECONDITION,
  status.UNIMPLEMENTED,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
];

let isStopping = false;
let stream: ClientDuplexStream<SubscribeRequest, SubscribeResponse> | undefined;

/** One stream, until we stop or it breaks. */
function subscribe(address: string): Promise<ServiceError | undefined> {
  // A node that is gone without a word is noticed.
  const options = { 'grpc.keepalive_time_ms': 10_000, 'grpc.keepalive_timeout_ms': 5_000 };
  const client = new barnabas.v1.GroupService(address, credentials.createInsecure(), options);
  const opened = client.Subscribe();
  stream = opened;
  if (member.memberId !== '') member.incarnation++;
  const resume = member.memberId === '' ? undefined : { ...member, owned: [...positions.keys()].map(positionOf) };
  opened.write({
    start: {
      groupId,
      topics: [topic],
      instanceId,
      clientId: 'typescript',
      autoOffsetReset: 'AUTO_OFFSET_RESET_EARLIEST',
      autoCommitIntervalMs: 1_000,
      resume,
    },
  });
  return new Promise<ServiceError | undefined>((resolve) => {
    opened.on('data', (response: SubscribeResponse) => {
      if (!isStopping) handle(response, address); // what comes after that goes to another member
    });
    opened.once('error', resolve);
    opened.once('end', () => resolve(undefined));
  }).finally(() => client.close());
}

function handle(
  { joined, assigned, revoked, lost, records, partitionError }: SubscribeResponse,
  address: string,
): void {
  if (joined) {
    const { memberId, memberEpoch, incarnation } = joined;
    Object.assign(member, { memberId, memberEpoch, incarnation });
    console.log(`joined ${memberId} ${address}`);
  } else if (assigned) {
    member.memberEpoch = assigned.memberEpoch;
    for (const { partition, offset } of assigned.positions) positions.set(partition, offset as number);
    console.log(['assigned', ...assigned.positions.map(({ partition, offset }) => `${partition}@${offset}`)].join(' '));
  } else if (revoked ?? lost) {
    // What we acknowledged is committed; others go on from there.
    const gone = (revoked ?? lost)?.partitions.map(({ partition }) => partition) ?? [];
    for (const partition of gone) positions.delete(partition);
    console.log([revoked ? 'revoked' : 'lost', ...gone].join(' '));
  } else if (records) {
    for (const { offset, value } of records.records) console.log(records.partition, offset, value?.toString());
    positions.set(records.partition, records.nextOffset as number);
    stream?.write({ ack: { positions: [positionOf(records.partition)] } });
  } else if (partitionError) {
    console.error(partitionError.error?.message);
  }
}

/** Closing our half in good order commits what is acknowledged, and leaves the group. */
function stop(): void {
  isStopping = true;
  stream?.end();
}

async function main(): Promise<void> {
  process.once('SIGINT', stop).once('SIGTERM', stop);
  for (let next = 0; !isStopping; next++) {
    const address = addresses.split(',')[next % addresses.split(',').length] ?? '';
    const error = await subscribe(address);
    if (isStopping) return;
    if (error && FINAL.includes(error.code)) throw error;
    console.error(`${address}: ${error?.details}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
