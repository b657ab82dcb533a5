/** Subscribe at one broker, over gRPC, with its own coordinator and its own logs. */
import { createConnector } from '@barnabas/rpc';
import type { Connector, MessageStream } from '@barnabas/rpc';
import { v1 } from '@barnabas/protocol';
import type { BarnabasError } from '@barnabas/protocol';
import { batchEntry, batchOf, eventually, produceRequest } from '../test-kit/requests.js';
import { TestBroker } from '../test-kit/test-broker.js';
import { committed } from './test-kit/wire-member.js';

let broker: TestBroker;
let connector: Connector;
let address: string;

beforeEach(async () => {
  broker = await TestBroker.start({ config: { 'offsets.topic.num.partitions': 3 } });
  await broker.topic('orders', 2);
  connector = createConnector();
  address = await broker.serveGrpc();
});
afterEach(async () => {
  connector.close();
  await broker.stop();
});

class Member {
  readonly values: string[] = [];
  readonly owned = new Set<number>();
  joined: v1.SubscribeJoined | undefined;
  epoch = 0;
  closed: { readonly error: BarnabasError | undefined } | undefined;
  readonly stream: MessageStream<v1.SubscribeResponse, v1.SubscribeRequest>;

  constructor(start: Partial<v1.SubscribeStart> = {}) {
    this.stream = connector.channel(address).client(v1.GroupServiceDefinition).subscribe();
    this.stream.handle({
      onMessage: ({ response }) => this.#hear(response),
      onClose: (error) => {
        this.closed = { error };
      },
    });
    const defaults = { groupId: 'g', topics: ['orders'], autoOffsetReset: v1.AutoOffsetReset.EARLIEST };
    this.stream.write({
      request: { $case: 'start', start: v1.SubscribeStart.create({ ...defaults, ...start }) },
    });
  }

  #hear(response: v1.SubscribeResponse['response']): void {
    if (response?.$case === 'joined') this.joined = response.joined;
    if (response?.$case === 'assigned') {
      this.epoch = response.assigned.memberEpoch;
      for (const { partition } of response.assigned.positions) this.owned.add(partition);
    }
    if (response?.$case !== 'records') return;
    const { topic, partition, records, nextOffset, leaderEpoch } = response.records;
    for (const { value } of records) this.values.push(value?.toString() ?? '');
    const positions = [{ topic, partition, offset: nextOffset, leaderEpoch, metadata: '' }];
    this.stream.write({ request: { $case: 'ack', ack: { positions } } });
  }
}

test('a member over gRPC joins, reads, acknowledges, is cut off, resumes and leaves', async () => {
  await broker.log.produce(
    produceRequest([batchEntry('orders', batchOf(['a', 'b']), 0), batchEntry('orders', batchOf(['c']), 1)]),
  );
  const one = new Member();
  await eventually(() => one.values.length === 3, 'one.values.length === 3');
  expect(one.values.sort()).toEqual(['a', 'b', 'c']);
  const { memberId = '', incarnation = 0 } = one.joined ?? {};
  one.stream.cancel();
  const owned = [...one.owned].map((partition) => ({
    ...{ topic: 'orders', partition, offset: partition === 0 ? 2 : 1, leaderEpoch: -1, metadata: '' },
  }));
  const two = new Member({ resume: { memberId, memberEpoch: one.epoch, incarnation: incarnation + 1, owned } });
  await eventually(() => two.owned.size === 2, 'two.owned.size === 2');
  expect(two.joined).toMatchObject({ memberId, incarnation: 2 });
  await broker.log.produce(produceRequest([batchEntry('orders', batchOf(['d']), 0)]));
  await eventually(() => two.values.length === 1, 'two.values.length === 1');
  expect(two.values).toEqual(['d']);
  two.stream.end();
  await eventually(() => two.closed !== undefined, 'two.closed !== undefined');
  expect(two.closed?.error).toBeUndefined();
  expect(await committed(broker.groups, 'g')).toEqual({ 0: 3, 1: 1 });
  const { groups } = await broker.groups.describeGroups({ groupIds: ['g'] });
  expect(groups[0]).toMatchObject({ state: v1.GroupState.EMPTY, members: [] });
});

test('a broker that stops tells its members to go on elsewhere', async () => {
  const member = new Member();
  await eventually(() => member.owned.size === 2, 'member.owned.size === 2');
  await broker.role.stop(1_000);
  await eventually(() => member.closed !== undefined, 'member.closed !== undefined');
  expect(member.closed?.error?.errorName).toBe('BROKER_NOT_AVAILABLE');
});
