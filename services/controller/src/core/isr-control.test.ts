import { v1 } from '@barnabas/protocol';
import { CoreCluster, SESSION_TIMEOUT_MS } from '../test-kit/core-cluster.js';
import { alterPartitions, reportOffline } from './isr-control.js';

const { ErrorCode } = v1;

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
  for (const id of [1, 2, 3]) core.join(id);
  core.writeTopic('a', [1, 2, 3], [2, 3], [3, 1]);
});

const { defaults } = new CoreCluster().settings;
const codeOf = (result: { readonly error?: { readonly code: number } | undefined }) => result.error?.code ?? 0;

/** A broker is silent for a whole session; the others are heard from. */
function lose(id: number): void {
  core.now += SESSION_TIMEOUT_MS - 1;
  for (const broker of core.image.brokers.values()) {
    if (broker.id !== id && !broker.fenced) core.heartbeat(broker.id);
  }
  core.now += 1;
  expect(core.expire()).toEqual([id]);
}

function setConfig(key: string, value: string): void {
  core.write({ record: { $case: 'config', config: { resourceType: 1, resourceName: 'a', key, value } } });
}

describe('AlterPartition', () => {
  test('shrinks and expands the ISR, and answers how the partition stands', () => {
    expect(core.alterPartition('a', 0, [1, 3])).toMatchObject({
      ...{ error: undefined, leader: 1, leaderEpoch: 0, isr: [1, 3], partitionEpoch: 1, eligibleLeaderReplicas: [] },
    });
    expect(core.alterPartition('a', 0, [1, 3, 2])).toMatchObject({
      error: undefined,
      isr: [1, 3, 2],
      partitionEpoch: 2,
    });
    expect(core.show('a')).toBe('leader 1 at 0, isr 1,3,2');
  });

  test('ends whatever else is on its way, also by asking for what is', () => {
    expect(core.alterPartition('a', 0, [3, 2, 1])).toMatchObject({
      error: undefined,
      isr: [1, 2, 3],
      partitionEpoch: 1,
    });
    expect(codeOf(core.alterPartition('a', 0, [1], { partitionEpoch: 0 }))).toBe(ErrorCode.INVALID_UPDATE_VERSION);
  });

  test('says who is eligible: the leader must not move the watermark while there is anybody', () => {
    setConfig('min.insync.replicas', '2');
    expect(core.alterPartition('a', 0, [1])).toMatchObject({ isr: [1], eligibleLeaderReplicas: [2, 3] });
    expect(core.alterPartition('a', 0, [1, 3])).toMatchObject({ isr: [1, 3], eligibleLeaderReplicas: [] });
  });

  test.each([
    ['an unknown topic', { topicId: 'x' }, ErrorCode.UNKNOWN_TOPIC_ID],
    ['an unknown partition', { partition: 9, leaderEpoch: 0, partitionEpoch: 0 }, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ['a leader epoch to come', { leaderEpoch: 3 }, ErrorCode.NOT_CONTROLLER],
    ['a partition epoch to come', { partitionEpoch: 4 }, ErrorCode.NOT_CONTROLLER],
    ['an old leader epoch', { leaderEpoch: 1 }, ErrorCode.FENCED_LEADER_EPOCH],
    ['an old partition epoch', { partitionEpoch: 1 }, ErrorCode.INVALID_UPDATE_VERSION],
    ['a broker twice', { isr: [1, 2, 2].map(member) }, ErrorCode.INVALID_REQUEST],
    ['an ISR without the leader', { isr: [1].map(member) }, ErrorCode.INVALID_REQUEST],
    ['an empty ISR', { isr: [] }, ErrorCode.INVALID_REQUEST],
    ['a broker without a replica', { isr: [2, 4].map(member) }, ErrorCode.INVALID_REQUEST],
    ['an unregistered member', { isr: [2, 1, 9].map(member) }, ErrorCode.INELIGIBLE_REPLICA],
    [
      'a member that has registered again',
      { isr: [member(2), { brokerId: 3, brokerEpoch: 1 }] },
      ErrorCode.INELIGIBLE_REPLICA,
    ],
  ])('refuses %s', (_name, change, code) => {
    core.join(4);
    const partitionChange = { topicId: 'id of a', partition: 0, leader: 2 };
    core.write({ record: { $case: 'partitionChange', partitionChange } });
    core.write({ record: { $case: 'partitionChange', partitionChange } });
    const replicas = { ids: [1, 2, 3, 9] };
    core.write({
      record: { $case: 'partitionChange', partitionChange: { topicId: 'id of a', partition: 0, replicas } },
    });
    const { image } = core;
    const result = core.alterPartition('a', 0, [2, 3], change);
    expect(codeOf(result)).toBe(code);
    expect(core.image).toBe(image);
    if (code !== ErrorCode.UNKNOWN_TOPIC_ID && code !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) {
      expect(result).toMatchObject({ leader: 2, leaderEpoch: 2, isr: [1, 2, 3], partitionEpoch: 3 });
    }
  });

  function member(brokerId: number) {
    return { brokerId, brokerEpoch: -1 };
  }

  test('refuses whoever does not lead', () => {
    expect(codeOf(core.alterPartition('a', 0, [2, 1], {}, 2))).toBe(ErrorCode.INVALID_REQUEST);
  });

  test('refuses members that are fenced, have restarted since, or are new and shut down', () => {
    core.alterPartition('a', 0, [1]);
    const stale = [1, 2].map((id) => ({ brokerId: id, brokerEpoch: core.broker(id).epoch }));
    lose(2);
    expect(codeOf(core.alterPartition('a', 0, [1, 2]))).toBe(ErrorCode.INELIGIBLE_REPLICA);
    core.join(2);
    expect(codeOf(core.alterPartition('a', 0, [], { isr: stale }))).toBe(ErrorCode.INELIGIBLE_REPLICA);
    core.heartbeat(2, { wantShutDown: true });
    expect(codeOf(core.alterPartition('a', 0, [1, 2]))).toBe(ErrorCode.INELIGIBLE_REPLICA);
    core.join(2);
    expect(codeOf(core.alterPartition('a', 0, [1, 2]))).toBe(0);
  });

  test('each partition stands or falls alone, and none is named twice', () => {
    const entry = (partition: number, isr: readonly number[]) => {
      const members = isr.map((brokerId) => ({ brokerId, brokerEpoch: -1 }));
      return { topicId: 'id of a', partition, leaderEpoch: 0, partitionEpoch: 0, isr: members };
    };
    core.writeTopic('b', [1], [1]);
    const ofB = (partition: number) => ({ ...entry(partition, [1]), topicId: 'id of b' });
    const entries = [entry(0, [1]), entry(1, [1]), ofB(0), ofB(1), ofB(1)];
    const results = core.run(alterPartitions(core.image, core.broker(1), entries, defaults));
    expect(results.map(codeOf)).toEqual([
      0,
      ErrorCode.INVALID_REQUEST,
      0,
      ErrorCode.INVALID_REQUEST,
      ErrorCode.INVALID_REQUEST,
    ]);
    expect([core.show('a', 0), core.show('a', 1)]).toEqual(['leader 1 at 0, isr 1', 'leader 2 at 0, isr 2,3']);
  });

  test('a leader that shuts down hands over to whom it takes into the ISR', () => {
    core.alterPartition('a', 0, [1]);
    expect(core.heartbeat(1, { wantShutDown: true }).shouldShutDown).toBe(false);
    expect(core.show('a')).toBe('leader 1 at 0, isr 1');
    expect(core.alterPartition('a', 0, [1, 3])).toMatchObject({
      ...{ error: { code: ErrorCode.NEW_LEADER_ELECTED }, leader: 3, leaderEpoch: 1, isr: [3] },
    });
  });

  test('the end of a reassignment moves the leader and says so', () => {
    const replicas = { ids: [2, 3, 1] };
    const lists = { replicas, addingReplicas: { ids: [2] }, removingReplicas: { ids: [1] } };
    core.write({
      record: { $case: 'partitionChange', partitionChange: { topicId: 'id of a', partition: 2, ...lists } },
    });
    expect(core.alterPartition('a', 2, [3, 1, 2])).toMatchObject({
      ...{ error: { code: ErrorCode.NEW_LEADER_ELECTED }, leader: 3, leaderEpoch: 1, isr: [3, 2] },
    });
    expect(core.partition('a', 2)).toMatchObject({ replicas: [2, 3], addingReplicas: [], removingReplicas: [] });
  });

  test('is for clusters at metadata.version 2, with at most 100,000 partitions', () => {
    const many = Array.from({ length: 100_001 }, () => ({
      topicId: 'x',
      partition: 0,
      leaderEpoch: 0,
      partitionEpoch: 0,
      isr: [],
    }));
    expect(() => alterPartitions(core.image, core.broker(1), many, defaults)).toThrow(/at most 100000/);
    core.write({ record: { $case: 'featureLevel', featureLevel: { name: 'metadata.version', level: 1 } } });
    const old = expect.objectContaining({ errorName: 'UNSUPPORTED_VERSION' });
    expect(() => alterPartitions(core.image, core.broker(1), [], defaults)).toThrow(old);
    expect(() => reportOffline(core.image, core.broker(1), [], defaults)).toThrow(old);
  });
});

describe('ReportOfflineReplicas', () => {
  test('takes replicas out of ISR and leadership', () => {
    core.reportOffline(1, 'a');
    expect(core.show('a')).toBe('leader 2 at 1, isr 2,3, offline 1');
    // Also a follower: what its leader knows of it must not outlive its log.
    core.reportOffline(3, 'a', 1);
    expect(core.show('a', 1)).toBe('leader 2 at 1, isr 2, offline 3');
    // The same report once more, and one of the time since.
    const { image } = core;
    core.reportOffline(3, 'a', 1, 0);
    expect(core.image).toBe(image);
    core.reportOffline(3, 'a', 1);
    expect(core.show('a', 1)).toBe('leader 2 at 2, isr 2, offline 3');
    expect(codeOf(core.alterPartition('a', 1, [2, 3], { leaderEpoch: 0 }))).toBe(ErrorCode.FENCED_LEADER_EPOCH);
    expect(core.alterPartition('a', 1, [2, 3])).toMatchObject({ error: undefined, isr: [2, 3] });
    expect(core.show('a', 1)).toBe('leader 2 at 2, isr 2,3');
  });

  test('leaves the last one in the ISR without a leader, until its broker starts anew', () => {
    core.alterPartition('a', 0, [1]);
    core.reportOffline(1, 'a');
    expect(core.show('a')).toBe('leader -1 at 1, isr 1, offline 1');
    const { image } = core;
    core.reportOffline(1, 'a');
    expect(core.image).toBe(image);
    // Others come and go: nobody is asked who would only refuse.
    core.join(2);
    core.run(core.cluster.repair(core.image));
    expect(core.show('a')).toBe('leader -1 at 1, isr 1, offline 1');
    core.join(1);
    expect(core.show('a')).toBe('leader 1 at 2, isr 1');
  });

  test('passes over what is gone', () => {
    const { image } = core;
    const replicas = [
      { topicId: 'x', partition: 0, leaderEpoch: 0 },
      { topicId: 'id of a', partition: 7, leaderEpoch: 0 },
      { topicId: 'id of a', partition: 1, leaderEpoch: 0 },
    ];
    expect(core.run(reportOffline(core.image, core.broker(1), replicas, defaults))).toBeUndefined();
    expect(core.image).toBe(image);
  });
});

describe('a broker that restarts', () => {
  beforeEach(() => {
    setConfig('min.insync.replicas', '2');
    core.alterPartition('a', 0, [1]);
    expect(core.show('a')).toBe('leader 1 at 0, isr 1, elr 2,3');
  });

  test('stays eligible where every write is synced, however it stopped', () => {
    core.join(2);
    expect(core.show('a')).toBe('leader 1 at 0, isr 1, elr 2,3');
  });

  test('is eligible no more where writes are synced later, unless it stopped in good order', () => {
    setConfig('flush.messages', '1000');
    core.join(2, { previousBrokerEpoch: core.broker(2).epoch });
    expect(core.show('a')).toBe('leader 1 at 0, isr 1, elr 2,3');
    core.join(3, { previousBrokerEpoch: core.broker(3).epoch - 1 });
    expect(core.show('a')).toBe('leader 1 at 0, isr 1, elr 2');
    core.join(2);
    expect(core.show('a')).toBe('leader 1 at 0, isr 1');
    // The last one stays: nobody else is known to have more.
    core.join(1);
    expect(core.show('a')).toBe('leader 1 at 2, isr 1');
  });

  test('which syncs later by its own configuration: that of the incarnation that crashed counts', () => {
    core.join(2, { flushIntervalMessages: 1000 });
    expect(core.show('a')).toBe('leader 1 at 0, isr 1, elr 2,3');
    core.join(2, { flushIntervalMessages: 1 });
    expect(core.show('a')).toBe('leader 1 at 0, isr 1, elr 3');
  });

  test('leaves the ISR to those who are eligible', () => {
    setConfig('flush.messages', '1000');
    lose(2);
    core.join(1);
    expect(core.show('a')).toBe('leader 3 at 1, isr 3, elr 2');
  });
});
