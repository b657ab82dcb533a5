/** A leader over the network of the process, and a follower whose every word a test says. */
import { BarnabasError, internal } from '@barnabas/protocol';
import { CLUSTER_ID } from '../test-kit/scripted-controller.js';
import { Recorded, batchEntry, batchOf, errorCodeOf, eventually, produceRequest } from '../test-kit/requests.js';
import { BROKER_ADDRESS, TestBroker } from '../test-kit/test-broker.js';
import { gatheredLeaderStream, request } from './messages.js';

const FOLLOWER = 2;
const FOLLOWER_EPOCH = 1000;

let broker: TestBroker;
let topicId: string;

beforeEach(async () => {
  broker = await TestBroker.start({ config: { 'replica.lag.time.max.ms': 60_000 } });
  const { controller } = broker;
  controller.append({
    $case: 'registerBroker',
    registerBroker: internal.RegisterBrokerRecord.create({
      ...{ brokerId: FOLLOWER, incarnationId: 'i', brokerEpoch: FOLLOWER_EPOCH, fenced: false },
    }),
  });
  topicId = controller.createTopic('orders', [{ leader: 1, replicas: [1, FOLLOWER], isr: [1] }]);
  await broker.caughtUp();
});
afterEach(() => broker.stop());

type Follower = Recorded<internal.LeaderPart, internal.FollowerPart>;

function connect(): Follower {
  const client = broker.connector.channel(BROKER_ADDRESS).client(internal.ReplicationServiceDefinition);
  return new Recorded(gatheredLeaderStream(client.replicate()));
}

const hello = (change: Partial<internal.FollowerHello> = {}) =>
  request({
    $case: 'hello',
    hello: {
      ...{ clusterId: CLUSTER_ID, followerId: FOLLOWER, followerEpoch: FOLLOWER_EPOCH, session: 1, leaderId: 1 },
      ...change,
    },
  });
const follow = (change: Partial<internal.Follow> = {}) =>
  request({ $case: 'follow', follow: internal.Follow.create({ handle: 7, topicId, lastEpoch: -1, ...change }) });
const acknowledge = (stableEndOffset: number, handle = 7) =>
  request({ $case: 'acknowledge', acknowledge: { partitions: [{ handle, stableEndOffset, logStartOffset: 0 }] } });
const credit = (bytes: number) => request({ $case: 'credit', credit: { bytes, throttledBytes: 0 } });

/** A follower that has said hello and been answered. */
async function following(session = 1): Promise<Follower> {
  const follower = connect();
  follower.stream.write(hello({ session }));
  await follower.find(({ part }) => part?.$case === 'hello');
  return follower;
}

const produce = (...values: string[]) => broker.log.produce(produceRequest([batchEntry('orders', batchOf(values))], 1));

const answerOf = async (follower: Follower, handle = 7) => {
  const message = await follower.find(({ part }) => part?.$case === 'position' && part.position.handle === handle);
  return message.part?.$case === 'position' ? message.part.position.answer : undefined;
};
const endOf = async (follower: Follower, handle = 7) => {
  const message = await follower.find(({ part }) => part?.$case === 'ended' && part.ended.handle === handle);
  return message.part?.$case === 'ended' ? errorCodeOf(message.part.ended.error) : undefined;
};
const batchesOf = (follower: Follower) =>
  follower.messages.flatMap(({ part }) => (part?.$case === 'batches' ? [part.batches] : []));

describe('the hello', () => {
  it.each([
    ['another cluster', { clusterId: 'b' }, 'INCONSISTENT_CLUSTER_ID'],
    ['another broker', { leaderId: 3 }, 'INVALID_REQUEST'],
    ['an earlier registration', { followerEpoch: FOLLOWER_EPOCH - 1 }, 'STALE_BROKER_EPOCH'],
  ])('is refused for %s', async (_, change, code) => {
    const follower = connect();
    follower.stream.write(hello(change));
    expect(await follower.end()).toMatchObject({ errorName: code });
  });

  it('comes first', async () => {
    const follower = connect();
    follower.stream.write(follow());
    expect(await follower.end()).toMatchObject({ errorName: 'INVALID_REQUEST' });
  });

  it('ends the earlier stream of the same follower, and an earlier one that comes late is refused', async () => {
    const first = await following(5);
    const second = await following(6);
    expect(await first.end()).toMatchObject({ errorName: 'NETWORK_EXCEPTION' });
    const late = connect();
    late.stream.write(hello({ session: 4 }));
    expect(await late.end()).toMatchObject({ errorName: 'STALE_BROKER_EPOCH' });
    expect(second.closed).toBeUndefined();
  });
});

describe('a follow', () => {
  it('is answered with where logs part', async () => {
    await produce('a', 'b');
    const follower = await following();
    follower.stream.write(follow({ handle: 1 }));
    follower.stream.write(follow({ handle: 2, lastEpoch: 0, logEndOffset: 2 }));
    follower.stream.write(follow({ handle: 3, lastEpoch: 0, logEndOffset: 9 }));
    expect(await answerOf(follower, 1)).toMatchObject({ $case: 'agreed' });
    expect(await answerOf(follower, 2)).toMatchObject({ $case: 'agreed' });
    expect(await answerOf(follower, 3)).toEqual({ $case: 'diverging', diverging: { epoch: 0, endOffset: 2 } });
  });

  it('begins anew at the batch in which the log starts', async () => {
    await produce('a', 'b', 'c');
    const request = { entries: [{ topic: 'orders', partition: 0, beforeOffset: 2 }] };
    // The follower does not serve as far as anybody knows: nobody waits for it.
    broker.controller.append({
      $case: 'brokerRegistrationChange',
      brokerRegistrationChange: {
        brokerId: FOLLOWER,
        brokerEpoch: FOLLOWER_EPOCH,
        fenced: true,
        inControlledShutdown: undefined,
      },
    });
    await broker.caughtUp();
    expect((await broker.log.deleteRecords(request)).results[0]).toMatchObject({ logStartOffset: 2 });
    const follower = await following();
    follower.stream.write(follow({ handle: 1, lastEpoch: 0, logStartOffset: 0, logEndOffset: 1 }));
    expect(await answerOf(follower, 1)).toEqual({ $case: 'restart', restart: { offset: 0 } });
    follower.stream.write(follow({ handle: 2 }));
    expect(await answerOf(follower, 2)).toMatchObject({ $case: 'agreed' });
    follower.stream.write(credit(1000));
    await follower.until(() => batchesOf(follower).length > 0);
    expect(batchesOf(follower)[0]).toMatchObject({ handle: 2, mark: { logStartOffset: 2, logEndOffset: 3 } });
  });

  it.each([
    ['a topic that is not here', { topicId: 'nowhere' }, 'UNKNOWN_TOPIC_ID'],
    ['a later epoch', { leaderEpoch: 4 }, 'UNKNOWN_LEADER_EPOCH'],
  ])('is ended for %s, and the stream goes on', async (_, change, code) => {
    const follower = await following();
    follower.stream.write(follow({ handle: 1, ...change }));
    expect(await endOf(follower, 1)).toBe(code);
    follower.stream.write(follow({ handle: 2 }));
    expect(await answerOf(follower, 2)).toMatchObject({ $case: 'agreed' });
  });

  it('ends with the leader epoch', async () => {
    const follower = await following();
    follower.stream.write(follow());
    await answerOf(follower);
    broker.controller.changePartition(topicId, 0, { leader: 1 });
    expect(await endOf(follower)).toBe('FENCED_LEADER_EPOCH');
    follower.stream.write(follow({ handle: 8, leaderEpoch: 0 }));
    expect(await endOf(follower, 8)).toBe('FENCED_LEADER_EPOCH');
    follower.stream.write(follow({ handle: 9, leaderEpoch: 1, partitionEpoch: 1 }));
    expect(await answerOf(follower, 9)).toMatchObject({ $case: 'agreed' });
  });
});

describe('batches', () => {
  it('come byte for byte, within the credit, and as soon as they are appended', async () => {
    await produce('a');
    const follower = await following();
    follower.stream.write(follow());
    await answerOf(follower);
    expect(batchesOf(follower)).toEqual([]);
    follower.stream.write(credit(1));
    await follower.until(() => batchesOf(follower).length === 1);
    // Overdrawn by the first: the second waits.
    await produce('b');
    follower.stream.write(request({ $case: 'ping', ping: { number: 1 } }));
    await follower.find(({ part }) => part?.$case === 'pong');
    expect(batchesOf(follower)).toHaveLength(1);
    follower.stream.write(credit(1000));
    await follower.until(() => batchesOf(follower).length === 2);
    await produce('c');
    await follower.until(() => batchesOf(follower).length === 3);
    const stored = await broker.logs
      ?.log(topicId, 0)
      ?.read({ offset: 0, maxBytes: 10_000, maxOffset: 3, minOneBatch: true });
    expect(Buffer.concat(batchesOf(follower).map(({ batches }) => batches))).toEqual(
      Buffer.concat(stored?.batches ?? []),
    );
  });
});

describe('acknowledgements', () => {
  it('admit the follower, move the watermark, and the follower hears of it while idle', async () => {
    const follower = await following();
    follower.stream.write(follow());
    await answerOf(follower);
    follower.stream.write(acknowledge(0));
    await eventually(() => broker.controller.proposals.length === 1, 'the follower is proposed');
    expect(broker.controller.proposals[0]).toMatchObject({
      isr: [
        { brokerId: 1, brokerEpoch: -1 },
        { brokerId: FOLLOWER, brokerEpoch: FOLLOWER_EPOCH },
      ],
    });
    await broker.caughtUp();
    const produced = broker.log.produce(produceRequest([batchEntry('orders', batchOf(['a']))]));
    follower.stream.write(credit(1000));
    await follower.until(() => batchesOf(follower).length === 1);
    follower.stream.write(acknowledge(1));
    expect((await produced).results[0]).toMatchObject({ baseOffset: 0, error: undefined });
    await follower.find(({ part }) => part?.$case === 'marks' && part.marks.partitions[0]?.highWatermark === 1);
  });

  it('of what the leader does not have end the stream, and of a handle that is over are nothing', async () => {
    const follower = await following();
    follower.stream.write(acknowledge(5, 99));
    follower.stream.write(follow());
    await answerOf(follower);
    follower.stream.write(acknowledge(1));
    expect(await follower.end()).toMatchObject({ errorName: 'INVALID_REQUEST' });
    expect(broker.controller.proposals).toEqual([]);
  });

  it('a proposal that is refused is made again when the follower is heard of', async () => {
    broker.controller.proposalErrors.push(new BarnabasError('INELIGIBLE_REPLICA', 'not now'));
    const follower = await following();
    follower.stream.write(follow());
    await answerOf(follower);
    follower.stream.write(acknowledge(0));
    await eventually(() => broker.controller.proposals.length === 1, 'the follower is proposed');
    for (const fenced of [true, false]) {
      broker.controller.append({
        $case: 'brokerRegistrationChange',
        brokerRegistrationChange: {
          brokerId: FOLLOWER,
          brokerEpoch: FOLLOWER_EPOCH,
          fenced,
          inControlledShutdown: undefined,
        },
      });
    }
    await eventually(() => broker.controller.proposals.length === 2, 'it is proposed again');
  });
});

it('a follower that goes silent is given up', async () => {
  await broker.stop();
  broker = await TestBroker.start({ config: { 'replica.socket.timeout.ms': 30 } });
  const follower = connect();
  follower.stream.write(hello());
  expect(await follower.end()).toMatchObject({ errorName: 'NETWORK_EXCEPTION' });
});
