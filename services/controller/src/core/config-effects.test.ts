import { v1 } from '@barnabas/protocol';
import { CoreCluster } from '../test-kit/core-cluster.js';
import { alterConfigs } from './config-control.js';

const { TOPIC, BROKER } = v1.ConfigResourceType;

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
  for (const id of [1, 2, 3]) core.join(id);
  for (const name of ['a', 'b']) core.writeTopic(name, [1, 2, 3]);
});

function decide(type: v1.ConfigResourceType, name: string, key: string, value?: string) {
  const op = value === undefined ? v1.AlterConfigOpType.DELETE : v1.AlterConfigOpType.SET;
  const resources = [{ resource: { type, name }, ops: [{ key, type: op, value: value ?? '' }] }];
  return alterConfigs(core.image, { resources, validateOnly: false }, core.settings.defaults);
}

const set = (...change: Parameters<typeof decide>) => core.run(decide(...change));

describe('min.insync.replicas lowered leaves nobody eligible, before it holds', () => {
  beforeEach(() => {
    set(BROKER, '', 'min.insync.replicas', '3');
    for (const name of ['a', 'b']) core.alterPartition(name, 0, [1, 2]);
    expect(core.show('a')).toBe('leader 1 at 0, isr 1,2, elr 3');
  });

  test('for one topic', () => {
    const { units } = decide(TOPIC, 'a', 'min.insync.replicas', '2');
    expect(units.map((unit) => unit.map(({ record }) => record?.$case))).toEqual([['partitionChange'], ['config']]);
    set(TOPIC, 'a', 'min.insync.replicas', '2');
    expect([core.show('a'), core.show('b')]).toEqual(['leader 1 at 0, isr 1,2', 'leader 1 at 0, isr 1,2, elr 3']);
    // Back to the cluster's 3: who is out stays out.
    set(TOPIC, 'a', 'min.insync.replicas');
    expect(core.show('a')).toBe('leader 1 at 0, isr 1,2');
  });

  test('for all topics that have no value of their own', () => {
    set(TOPIC, 'b', 'min.insync.replicas', '3');
    set(BROKER, '', 'min.insync.replicas');
    expect([core.show('a'), core.show('b')]).toEqual(['leader 1 at 0, isr 1,2', 'leader 1 at 0, isr 1,2, elr 3']);
  });

  test('not for one broker: elections do not go by its own values', () => {
    set(BROKER, '1', 'min.insync.replicas', '1');
    expect(core.show('a')).toBe('leader 1 at 0, isr 1,2, elr 3');
  });
});

test('partitions without a leader get one when unclean elections are switched on', () => {
  for (const name of ['a', 'b']) core.alterPartition(name, 0, [1]);
  core.heartbeat(1, { wantFence: true });
  set(TOPIC, 'a', 'unclean.leader.election.enable', 'true');
  expect([core.show('a'), core.show('b')]).toEqual(['leader 2 at 2, isr 2', 'leader -1 at 1, isr 1']);
  set(BROKER, '', 'unclean.leader.election.enable', 'true');
  expect(core.show('b')).toBe('leader 2 at 2, isr 2');
});
