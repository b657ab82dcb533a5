import { SeededRandom } from '@barnabas/common';
import { CoreCluster, SESSION_TIMEOUT_MS } from '../test-kit/core-cluster.js';
import { cancelDecommission, decommissionBroker, unregisterBroker } from './decommission-control.js';
import { isReassigning, targetOf } from './partition-change.js';

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
  for (const id of [1, 2, 3]) core.join(id, { rack: `rack-${id}` });
});

const options = () => ({ defaults: core.settings.defaults, random: new SeededRandom(1) });
const decommission = (id: number) => core.run(decommissionBroker(core.image, id, options()));
const takeBack = (id: number) => core.run(cancelDecommission(core.image, id, options()));
const unregister = (id: number) => core.run(unregisterBroker(core.image, id, core.sessions, core.now));

/** Followers that are added catch up. */
function finishReassignments(): void {
  for (const { name, partitions } of core.image.topics.values()) {
    for (const [number, partition] of partitions.entries()) {
      if (isReassigning(partition))
        core.alterPartition(name, number, [...new Set([...partition.isr, ...targetOf(partition)])]);
    }
  }
}

function lose(id: number): void {
  core.now += SESSION_TIMEOUT_MS - 1;
  for (const broker of core.image.brokers.values()) if (broker.id !== id && !broker.fenced) core.heartbeat(broker.id);
  core.now += 1;
  core.expire();
}

test('every replica moves to another broker, and then the broker can be forgotten', () => {
  for (const id of [4, 5]) core.join(id, { rack: 'rack-1' });
  core.createTopic('a', { partitions: 12, replicationFactor: 3 });
  const onIt = core.image.topics.named('a')?.partitions.filter(({ replicas }) => replicas.includes(1)).length ?? 0;
  expect(onIt).toBeGreaterThan(0);
  expect(decommission(1)).toEqual({ remainingPartitions: onIt, stuck: [] });
  expect(core.broker(1).decommissioning).toBe(true);
  // Asking again changes nothing.
  const { image } = core;
  expect(decommission(1)).toEqual({ remainingPartitions: onIt, stuck: [] });
  expect(core.image).toBe(image);
  for (const { replicas } of core.image.topics.named('a')?.partitions ?? []) {
    const racks = targetOf({ replicas, addingReplicas: [], removingReplicas: [1] }).map((id) => core.broker(id).rack);
    expect(new Set(racks).size).toBe(3);
  }
  finishReassignments();
  expect(decommission(1)).toEqual({ remainingPartitions: 0, stuck: [] });
  const replicas = core.image.topics.named('a')?.partitions.flatMap((partition) => partition.replicas) ?? [];
  const held = [4, 5].map((id) => replicas.filter((replica) => replica === id).length);
  expect(Math.abs((held[0] ?? 0) - (held[1] ?? 0))).toBeLessThanOrEqual(1);

  expect(() => unregister(1)).toThrow(/runs: stop it first/);
  lose(1);
  unregister(1);
  expect(core.image.brokers.has(1)).toBe(false);
  expect(() => unregister(1)).toThrow(expect.objectContaining({ errorName: 'BROKER_ID_NOT_REGISTERED' }));
});

test('what nobody else may take is stuck, says why, and moves when somebody can', () => {
  core.createTopic('a', { partitions: 2, replicationFactor: 3 });
  const { remainingPartitions, stuck } = decommission(1);
  expect(remainingPartitions).toBe(2);
  expect(stuck.map(({ topic, partition, error }) => [topic, partition, error?.message])).toEqual([
    ['a', 0, expect.stringMatching(/no other broker may take the replica on broker 1/)],
    ['a', 1, expect.stringMatching(/no other broker may take the replica on broker 1/)],
  ]);
  core.join(4);
  expect(decommission(1)).toEqual({ remainingPartitions: 2, stuck: [] });
  finishReassignments();
  expect(decommission(1)).toEqual({ remainingPartitions: 0, stuck: [] });
});

test('a broker that was to take replicas and dies is replaced when it is asked again', () => {
  core.createTopic('a', { partitions: 1, replicationFactor: 1 });
  const [holder = -1] = core.partition('a', 0).replicas;
  decommission(holder);
  const [chosen = -1] = core.partition('a', 0).addingReplicas;
  lose(chosen);
  decommission(holder);
  const { addingReplicas, removingReplicas } = core.partition('a', 0);
  expect(removingReplicas).toEqual([holder]);
  expect(addingReplicas).toEqual([[1, 2, 3].find((id) => id !== holder && id !== chosen)]);
});

test('taken back, it keeps what it has and gets new replicas again', () => {
  core.join(4);
  core.createTopic('a', {
    partitions: 3,
    assignments: [
      [1, 2],
      [1, 3],
      [2, 3],
    ].map((replicas) => ({ replicas })),
  });
  core.writeTopic('b', [1, 2], [1, 2]);
  decommission(1);
  core.alterPartition('b', 0, [...core.partition('b', 0).isr, ...core.partition('b', 0).addingReplicas]);
  expect(takeBack(1)).toMatchObject({ stuck: [] });
  expect(core.broker(1).decommissioning).toBe(false);
  expect(core.partition('b', 0).replicas).not.toContain(1);
  expect(core.partition('b', 1)).toMatchObject({ replicas: expect.arrayContaining([1, 2]), addingReplicas: [] });
  const { image } = core;
  takeBack(1);
  expect(core.image).toBe(image);
});

test('it outlives a restart of the broker', () => {
  decommission(1);
  core.join(1);
  expect(core.broker(1).decommissioning).toBe(true);
});

test('a broker that holds replicas, runs or is unknown is not forgotten', () => {
  core.writeTopic('a', [1]);
  expect(() => decommission(9)).toThrow(expect.objectContaining({ errorName: 'BROKER_ID_NOT_REGISTERED' }));
  expect(() => takeBack(9)).toThrow(expect.objectContaining({ errorName: 'BROKER_ID_NOT_REGISTERED' }));
  lose(1);
  expect(() => unregister(1)).toThrow(/holds replicas of 1 partitions: decommission it first/);
  // Fenced by its own wish, it is still there.
  core.heartbeat(2, { wantFence: true });
  expect(() => unregister(2)).toThrow(/runs/);
  core.now += SESSION_TIMEOUT_MS;
  unregister(2);
  core.write({ record: { $case: 'featureLevel', featureLevel: { name: 'metadata.version', level: 1 } } });
  expect(() => decommission(1)).toThrow(expect.objectContaining({ errorName: 'UNSUPPORTED_VERSION' }));
  expect(() => takeBack(1)).toThrow(expect.objectContaining({ errorName: 'UNSUPPORTED_VERSION' }));
});
