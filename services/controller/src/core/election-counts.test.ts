import { CoreCluster, SESSION_TIMEOUT_MS } from '../test-kit/core-cluster.js';
import type { Decision } from './decision.js';
import { electionsIn } from './election-counts.js';

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
  for (const id of [1, 2, 3]) core.join(id);
});

/** Commits a decision as one batch, and counts. */
function countsOf({ units }: Decision<unknown>) {
  core.timeline.stage(units.flat(), 1);
  return electionsIn(core.timeline.commitStaged());
}

function allowUnclean(): void {
  const config = { resourceType: 1, resourceName: 'a', key: 'unclean.leader.election.enable', value: 'true' };
  core.write({ record: { $case: 'config', config } });
}

test('a lost broker: clean where somebody in sync takes over, unclean where nobody is, none where nobody leads', () => {
  core.writeTopic('a', [1, 2], [1, 2], [2, 1]);
  core.writeTopic('b', [1]);
  allowUnclean();
  core.alterPartition('a', 1, [1]);
  core.now += SESSION_TIMEOUT_MS - 1;
  for (const id of [2, 3]) core.heartbeat(id);
  core.now += 1;
  expect(countsOf(core.cluster.expireSessions(core.image, core.now))).toEqual({ elections: 2, unclean: 1 });
  // Back, it leads only what nobody else leads.
  core.register(core.registration(1));
  const { epoch: brokerEpoch } = core.broker(1);
  const alive = { brokerId: 1, brokerEpoch, metadataOffset: core.image.offset, wantFence: false, wantShutDown: false };
  expect(countsOf(core.cluster.heartbeat(core.image, alive, core.now))).toEqual({ elections: 1, unclean: 0 });
});

test('who is taken into the ISR and leads in one change was known to be in sync', () => {
  core.writeTopic('a', [1, 2]);
  core.alterPartition('a', 0, [1]);
  core.heartbeat(1, { wantShutDown: true });
  const before = core.timeline.committed;
  core.alterPartition('a', 0, [1, 2]);
  const partitionChange = { topicId: 'id of a', partition: 0, leader: 2, isr: { ids: [2] } };
  const batch = {
    baseOffset: before.offset,
    records: [{ record: { $case: 'partitionChange' as const, partitionChange } }],
  };
  const changes = { base: before } as Parameters<typeof electionsIn>[0]['changes'];
  const committed = { batch: { ...batch, endOffset: before.offset + 1, term: 1 }, changes, image: core.image };
  expect(electionsIn(committed)).toEqual({ elections: 1, unclean: 0 });
});

test('topics that are created hold no elections', () => {
  const decision = core.topics.createTopics(core.image, {
    topics: [{ name: 'a', partitions: 3, assignments: [], configs: {} }],
    validateOnly: false,
    timeoutMs: 0,
  });
  expect(countsOf(decision)).toEqual({ elections: 0, unclean: 0 });
});
