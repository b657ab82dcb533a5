import { CoreCluster, SESSION_TIMEOUT_MS } from '../test-kit/core-cluster.js';

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
});

const refusedWith = (errorName: string) => expect.objectContaining({ errorName });

test('the life of a broker, from registration to controlled shutdown', () => {
  const first = core.registration(1);
  const { brokerEpoch, clusterId } = core.register(first);
  expect(clusterId).toBe('cluster');
  expect(core.image.brokers.get(1)).toMatchObject({
    epoch: brokerEpoch,
    fenced: true,
    incarnationId: first.incarnationId,
  });

  // It has not applied its own registration yet, then does not want to, then serves.
  const waiting = { caughtUp: false, fenced: true, shouldShutDown: false };
  expect(core.heartbeat(1, { metadataOffset: brokerEpoch })).toEqual(waiting);
  expect(core.heartbeat(1, { wantFence: true })).toEqual({ ...waiting, caughtUp: true });
  const serving = { caughtUp: true, fenced: false, shouldShutDown: false };
  expect(core.heartbeat(1)).toEqual(serving);
  expect(core.image.brokers.get(1)?.fenced).toBe(false);
  expect(core.heartbeat(1)).toEqual(serving);

  // Nobody else could take over: it may go at once.
  core.createTopic('clicks');
  expect(core.heartbeat(1, { wantShutDown: true })).toEqual({ caughtUp: true, fenced: true, shouldShutDown: true });
  expect(core.image.brokers.get(1)).toMatchObject({ fenced: true, inControlledShutdown: true });
  expect(core.show('clicks')).toBe('leader -1 at 1, isr 1');

  // It starts again.
  core.join(1);
  expect(core.image.brokers.get(1)).toMatchObject({ fenced: false, inControlledShutdown: false });
  expect(core.show('clicks')).toBe('leader 1 at 2, isr 1');
});

test('a heartbeat that changes nothing writes nothing', () => {
  core.join(1);
  const { offset } = core.image;
  core.heartbeat(1);
  core.heartbeat(1);
  expect(core.image.offset).toBe(offset);
});

test('in controlled shutdown leaderships move first, and the broker goes when the others lead', () => {
  for (const id of [1, 2, 3]) core.join(id);
  core.writeTopic('a', [1, 2, 3], [2, 1, 3], [1]);
  expect(core.heartbeat(1, { wantShutDown: true })).toEqual({ caughtUp: true, fenced: false, shouldShutDown: false });
  expect(core.show('a', 0)).toBe('leader 2 at 1, isr 2,3');
  expect(core.show('a', 1)).toBe('leader 2 at 0, isr 2,3');
  // Nobody else has the third: it leads it until it goes.
  expect(core.show('a', 2)).toBe('leader 1 at 0, isr 1');

  const moved = core.image.offset;
  expect(core.heartbeat(1, { wantShutDown: true }).shouldShutDown).toBe(false);
  core.heartbeat(2, { metadataOffset: moved });
  core.heartbeat(3, { metadataOffset: moved - 1 });
  expect(core.heartbeat(1, { wantShutDown: true }).shouldShutDown).toBe(false);
  core.heartbeat(3, { metadataOffset: moved });
  expect(core.heartbeat(1, { wantShutDown: true })).toEqual({ caughtUp: true, fenced: true, shouldShutDown: true });
  // Its ISR still says who holds it.
  expect(core.show('a', 2)).toBe('leader -1 at 1, isr 1');
});

test('a silent broker is fenced after exactly its session, with all its partitions in one decision', () => {
  for (const id of [1, 2]) core.join(id);
  core.writeTopic('a', [1, 2], [1], [2, 1]);
  core.now += SESSION_TIMEOUT_MS / 2;
  core.heartbeat(2);
  core.now += SESSION_TIMEOUT_MS / 2 - 1;
  expect(core.expire()).toEqual([]);
  core.now += 1;
  const decision = core.cluster.expireSessions(core.image, core.now);
  expect(decision.response).toEqual([1]);
  core.run(decision);
  expect([0, 1, 2].map((partition) => core.show('a', partition))).toEqual([
    'leader 2 at 1, isr 2',
    'leader -1 at 1, isr 1',
    'leader 2 at 0, isr 2',
  ]);
  expect(core.expire()).toEqual([]);
});

test('brokers that are silent together are fenced together: none of them is elected in between', () => {
  for (const id of [1, 2, 3]) core.join(id);
  core.writeTopic('a', [1, 2]);
  const config = { resourceType: 1, resourceName: 'a', key: 'unclean.leader.election.enable', value: 'true' };
  core.write({ record: { $case: 'config', config } });
  core.alterPartition('a', 0, [1]);
  core.now += SESSION_TIMEOUT_MS - 1;
  core.heartbeat(3);
  core.now += 1;
  expect([...core.expire()].sort()).toEqual([1, 2]);
  // Broker 2 never led: what only broker 1 has is still there when it is back.
  expect(core.show('a')).toBe('leader -1 at 1, isr 1');
});

test('when it is back, a broker leads again only what nobody else leads', () => {
  for (const id of [1, 2]) core.join(id);
  core.writeTopic('a', [1, 2], [1]);
  core.now += SESSION_TIMEOUT_MS;
  core.heartbeat(2);
  core.expire();
  expect(core.heartbeat(1)).toEqual({ caughtUp: true, fenced: false, shouldShutDown: false });
  expect(core.show('a', 0)).toBe('leader 2 at 1, isr 2');
  expect(core.show('a', 1)).toBe('leader 1 at 2, isr 1');
});

test('a broker that does not want to serve is fenced', () => {
  core.join(1);
  core.createTopic('clicks');
  expect(core.heartbeat(1, { wantFence: true }).fenced).toBe(true);
  expect(core.show('clicks')).toBe('leader -1 at 1, isr 1');
});

test('a lost answer to a registration can be asked for again', () => {
  const request = core.registration(1);
  const { brokerEpoch } = core.register(request);
  const { offset } = core.image;
  expect(core.register(request)).toEqual({ brokerEpoch, clusterId: 'cluster' });
  expect(core.image.offset).toBe(offset);
});

test('a new incarnation ends the leaderships of the one before it', () => {
  core.join(1);
  core.createTopic('clicks');
  const { brokerEpoch } = core.register(core.registration(1));
  expect(core.show('clicks')).toBe('leader -1 at 1, isr 1');
  expect(core.image.brokers.get(1)).toMatchObject({ epoch: brokerEpoch, fenced: true });
});

describe('another broker with the same id', () => {
  const elsewhere = { endpoints: [{ name: 'CLIENT', host: 'elsewhere', port: 7700 }] };

  test('is refused while the first is heard from', () => {
    core.join(1);
    core.now += SESSION_TIMEOUT_MS - 1;
    expect(() => core.register(core.registration(1, elsewhere))).toThrow(refusedWith('DUPLICATE_BROKER_REGISTRATION'));
    core.now += 1;
    expect(core.register(core.registration(1, elsewhere)).brokerEpoch).toBeGreaterThan(0);
  });

  test('is let in at once from the same endpoints: both cannot be bound to them', () => {
    core.join(1);
    expect(core.register(core.registration(1)).brokerEpoch).toBeGreaterThan(0);
  });

  test('is let in when a new controller has not heard from the first', () => {
    core.join(1);
    core.sessions.activate(core.image, core.now);
    expect(core.register(core.registration(1, elsewhere)).brokerEpoch).toBeGreaterThan(0);
  });

  test('is let in when the first is on its way out', () => {
    for (const id of [1, 2]) core.join(id);
    core.heartbeat(1, { wantShutDown: true });
    expect(core.register(core.registration(1, elsewhere)).brokerEpoch).toBeGreaterThan(0);
  });
});

test('a new controller gives every broker a whole session, also one that stood still', () => {
  core.join(1);
  core.now += SESSION_TIMEOUT_MS * 5;
  core.sessions.activate(core.image, core.now);
  expect(core.expire()).toEqual([]);
  expect(core.sessions.nextDeadline(core.image, core.now)).toBe(core.now + SESSION_TIMEOUT_MS);
  core.now += SESSION_TIMEOUT_MS * 3;
  core.sessions.forgive(core.now);
  expect(core.expire()).toEqual([]);
  core.now += SESSION_TIMEOUT_MS / 2;
  expect(core.expire()).toEqual([1]);
  expect(core.sessions.nextDeadline(core.image, core.now)).toBeUndefined();
});

test('a new controller finishes what its predecessor began', () => {
  for (const id of [1, 2]) core.join(id);
  core.writeTopic('a', [1, 2], [2, 1]);
  const { epoch } = core.image.brokers.get(1) ?? { epoch: -1 };
  const fencing = { brokerId: 1, brokerEpoch: epoch, fenced: true };
  core.write({ record: { $case: 'brokerRegistrationChange', brokerRegistrationChange: fencing } });
  core.run(core.cluster.repair(core.image));
  expect(core.show('a', 0)).toBe('leader 2 at 1, isr 2');
  expect(core.show('a', 1)).toBe('leader 2 at 0, isr 2');
  expect(core.cluster.repair(core.image).units).toEqual([]);
});

test('an unclean election happens only where it is allowed', () => {
  for (const id of [1, 2]) core.join(id);
  core.writeTopic('safe', [1, 2]);
  core.writeTopic('unsafe', [1, 2]);
  for (const name of ['safe', 'unsafe']) {
    const partitionChange = { topicId: `id of ${name}`, partition: 0, isr: { ids: [1] } };
    core.write({ record: { $case: 'partitionChange', partitionChange } });
  }
  const config = { resourceType: 1, resourceName: 'unsafe', key: 'unclean.leader.election.enable', value: 'true' };
  core.write({ record: { $case: 'config', config } });
  core.now += SESSION_TIMEOUT_MS;
  core.heartbeat(2);
  core.expire();
  expect(core.show('safe')).toBe('leader -1 at 1, isr 1');
  expect(core.show('unsafe')).toBe('leader 2 at 1, isr 2');
});

test.each([
  ['another cluster', { clusterId: 'other' }, 'INCONSISTENT_CLUSTER_ID'],
  ['a negative id', { brokerId: -1 }, 'INVALID_REGISTRATION'],
  ['an id beyond 32 bits', { brokerId: 2 ** 31 }, 'INVALID_REGISTRATION'],
  ['no incarnation', { incarnationId: '' }, 'INVALID_REGISTRATION'],
  ['no endpoint', { endpoints: [] }, 'INVALID_REGISTRATION'],
  ['port 0', { endpoints: [{ name: 'CLIENT', host: 'h', port: 0 }] }, 'INVALID_REGISTRATION'],
  ['port 65536', { endpoints: [{ name: 'CLIENT', host: 'h', port: 65_536 }] }, 'INVALID_REGISTRATION'],
  ['no host', { endpoints: [{ name: 'CLIENT', host: '', port: 1 }] }, 'INVALID_REGISTRATION'],
  ['a name twice', { endpoints: [1, 2].map((port) => ({ name: 'CLIENT', host: 'h', port })) }, 'INVALID_REGISTRATION'],
  [
    '17 endpoints',
    { endpoints: Array.from({ length: 17 }, (_, i) => ({ name: `L${i}`, host: 'h', port: 1 })) },
    'INVALID_REGISTRATION',
  ],
  ['a long rack', { rack: 'r'.repeat(256) }, 'INVALID_REGISTRATION'],
])('a registration with %s is refused', (_name, change, errorName) => {
  expect(() => core.register(core.registration(1, change))).toThrow(refusedWith(errorName));
  expect(core.image.brokers.size).toBe(0);
});

test('heartbeats of nobody and of an earlier registration are refused', () => {
  expect(() => core.heartbeat(1)).toThrow(refusedWith('BROKER_ID_NOT_REGISTERED'));
  core.join(1);
  expect(() => core.heartbeat(1, { brokerEpoch: 0 })).toThrow(refusedWith('STALE_BROKER_EPOCH'));
});
