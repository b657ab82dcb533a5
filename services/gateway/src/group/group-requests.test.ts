/** Unary group calls through a gateway, over fake brokers. What a real coordinator does with them: test/cluster/subscribe.test.ts. */
import { CONSUMER_OFFSETS_TOPIC, errorNameOf, errorToProto, BarnabasError, v1 } from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import type { Handlers } from '@barnabas/rpc';
import { TestCluster } from '../test-kit/index.js';

type GroupHandlers = Handlers<typeof v1.GroupServiceDefinition>;

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await new TestCluster().start(2);
});
afterEach(() => cluster.close());

const groups = () => cluster.connector.channel('gateway.invalid:7600').client(v1.GroupServiceDefinition);

/** What a fake broker answers about groups. */
function serves(id: number, handlers: Partial<GroupHandlers>): void {
  const broker = cluster.broker(id);
  cluster.kill(broker);
  const all = { ...refuseAll(v1.GroupServiceDefinition), ...handlers };
  cluster.local.register(`broker-${id}.invalid:7700`, [...broker.services, service(v1.GroupServiceDefinition, all)]);
}

const lists = (...groupIds: string[]): Partial<GroupHandlers> => ({
  listGroups: () =>
    Promise.resolve({
      groups: groupIds.map((groupId) => v1.ListedGroup.create({ groupId, members: 1 })),
      errors: [],
    }),
});

const refuses = (error: BarnabasError): Partial<GroupHandlers> => ({ listGroups: () => Promise.reject(error) });

test('lists the groups of all brokers, each once, in order', async () => {
  serves(1, lists('a', 'c'));
  serves(2, lists('b', 'c'));
  const listed = await groups().listGroups({ states: [] });
  expect(listed.groups.map(({ groupId }) => groupId)).toEqual(['a', 'b', 'c']);
  expect(listed.errors).toEqual([]);
});

test('says which broker has not answered, and lists what the others have', async () => {
  serves(1, lists('a'));
  cluster.kill(cluster.broker(2));
  const listed = await groups().listGroups({ states: [] });
  expect(listed.groups.map(({ groupId }) => groupId)).toEqual(['a']);
  expect(listed.errors).toHaveLength(1);
  expect(listed.errors[0]?.message).toContain('broker 2');
});

test('a broker that does not serve groups yet does not hide those of the others', async () => {
  serves(1, lists('a'));
  serves(2, refuses(new BarnabasError('UNSUPPORTED_VERSION', 'an earlier release')));
  const listed = await groups().listGroups({ states: [] });
  expect(listed.errors.map(({ code }) => errorNameOf(code))).toEqual(['UNSUPPORTED_VERSION']);
});

test('a state that there is not is the caller’s error', async () => {
  serves(1, refuses(new BarnabasError('INVALID_REQUEST', 'no such state')));
  serves(2, lists());
  await expect(groups().listGroups({ states: [17 as v1.GroupState] })).rejects.toMatchObject({
    errorName: 'INVALID_REQUEST',
  });
});

test('a call goes to the coordinator, says where the member is, and brings its refusal back', async () => {
  cluster.controller.createTopic(CONSUMER_OFFSETS_TOPIC, [2]);
  const heard: v1.ConsumerGroupHeartbeatRequest[] = [];
  const error = errorToProto(new BarnabasError('FENCED_MEMBER_EPOCH', 'join again'));
  serves(2, {
    consumerGroupHeartbeat: (request) => {
      heard.push(request);
      return Promise.resolve(v1.ConsumerGroupHeartbeatResponse.create({ error }));
    },
  });
  const request = v1.ConsumerGroupHeartbeatRequest.create({ groupId: 'g', memberId: 'm' });
  const answer = await groups().consumerGroupHeartbeat(request);
  expect(errorNameOf(answer.error?.code ?? 0)).toBe('FENCED_MEMBER_EPOCH');
  expect(heard).toMatchObject([{ groupId: 'g', memberId: 'm', clientHost: 'local' }]);
});

test.each(['describeGroups', 'deleteGroups'] as const)(
  '%s without groups, or with too many, is refused',
  async (method) => {
    for (const count of [0, 10_001]) {
      const groupIds = Array.from({ length: count }, (_, index) => `g${index}`);
      await expect(groups()[method]({ groupIds })).rejects.toMatchObject({ errorName: 'INVALID_REQUEST' });
    }
  },
);
