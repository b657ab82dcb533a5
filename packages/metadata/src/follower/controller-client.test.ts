import { BarnabasError, internal, v1 } from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import type { Handlers } from '@barnabas/rpc';
import { TestNetwork } from '../test-kit/node.js';
import { ControllerClient } from './controller-client.js';
import { ControllerDirectory } from './controller-directory.js';

const voters = [1, 2, 3].map((id) => ({ id, host: 'controller', port: id }));

let network: TestNetwork;
let client: ControllerClient;
let controllers: ControllerDirectory;
let leaderId: number;
let calls: string[];
/** Controllers that cannot be reached. */
let down: Set<number>;
/** The voters that every controller names. */
let named: internal.QuorumVoter[];
/** What each controller answers the next calls with, before it behaves. */
let failures: Map<number, BarnabasError[]>;

function guard(id: number, what: string): void {
  if (down.has(id)) throw new BarnabasError('NETWORK_EXCEPTION', 'down');
  calls.push(`${what}@${id}`);
  const failure = failures.get(id)?.shift();
  if (failure !== undefined) throw failure;
  if (id !== leaderId) throw new BarnabasError('NOT_CONTROLLER', 'not me');
}

function controllerAt(id: number): void {
  const admin: Handlers<typeof v1.AdminServiceDefinition> = {
    ...refuseAll(v1.AdminServiceDefinition),
    createTopics: async () => {
      guard(id, 'create');
      return { results: [], metadataOffset: id };
    },
  };
  const controller: Handlers<typeof internal.ControllerServiceDefinition> = {
    ...refuseAll(internal.ControllerServiceDefinition),
    allocateProducerIds: async () => {
      guard(id, 'allocate');
      return { firstProducerId: id, count: 1 };
    },
    describeQuorum: async () => {
      if (down.has(id)) throw new BarnabasError('NETWORK_EXCEPTION', 'down');
      calls.push(`who@${id}`);
      return { clusterId: 'c', leaderId, term: 1, committedOffset: 0, voters: named, features: [] };
    },
  };
  network.serve(
    `controller:${id}`,
    service(v1.AdminServiceDefinition, admin),
    service(internal.ControllerServiceDefinition, controller),
  );
}

beforeEach(() => {
  network = new TestNetwork();
  leaderId = 2;
  calls = [];
  down = new Set();
  named = [];
  failures = new Map();
  for (const { id } of voters) controllerAt(id);
  controllers = new ControllerDirectory(voters);
  client = new ControllerClient({ connector: network.connector, controllers, ...network.environment });
});
afterEach(() => network.close());

const create = (timeoutMs?: number) =>
  network.until(client.createTopics(v1.CreateTopicsRequest.create({}), timeoutMs === undefined ? {} : { timeoutMs }));
const allocate = (timeoutMs?: number) =>
  network.until(
    client.allocateProducerIds({ brokerId: 1, brokerEpoch: 1 }, timeoutMs === undefined ? {} : { timeoutMs }),
  );

test('finds the active controller with one question, and stays with it', async () => {
  expect((await create()).metadataOffset).toBe(2);
  const asked = calls.filter((call) => call.startsWith('who'));
  expect(asked.length).toBeLessThanOrEqual(1);
  calls = [];
  await create();
  await allocate();
  expect(calls).toEqual(['create@2', 'allocate@2']);
});

test('follows a change of leader', async () => {
  await create();
  leaderId = 3;
  expect((await create()).metadataOffset).toBe(3);
  leaderId = 1;
  expect((await allocate()).firstProducerId).toBe(1);
});

test('waits while nobody leads, until the deadline', async () => {
  leaderId = -1;
  const waiting = client.createTopics(v1.CreateTopicsRequest.create({}), { timeoutMs: 5_000 });
  await network.settle();
  network.time.advance(100);
  await network.settle();
  leaderId = 3;
  expect((await network.until(waiting)).metadataOffset).toBe(3);
  leaderId = -1;
  await expect(create(2_000)).rejects.toMatchObject({ errorName: 'NOT_CONTROLLER' });
});

test('goes round when the leader is gone', async () => {
  await create();
  down.add(2);
  leaderId = 3;
  // The first call may or may not have reached a controller: only the caller can know whether to repeat it.
  await expect(create()).rejects.toMatchObject({ errorName: 'NETWORK_EXCEPTION' });
  expect((await create()).metadataOffset).toBe(3);
  down.add(3);
  leaderId = 1;
  expect((await allocate()).firstProducerId).toBe(1);
});

test('repeats a call of unknown outcome only where that does no harm', async () => {
  await create();
  const lost = () => new BarnabasError('REQUEST_TIMED_OUT', 'who knows');
  failures.set(2, [lost()]);
  await expect(create()).rejects.toMatchObject({ errorName: 'REQUEST_TIMED_OUT' });
  failures.set(2, [lost()]);
  expect((await allocate()).firstProducerId).toBe(2);
});

test('passes on what is wrong with the request at once, and slows down when told to', async () => {
  await create();
  failures.set(2, [new BarnabasError('INVALID_REQUEST', 'bad')]);
  calls = [];
  await expect(create()).rejects.toMatchObject({ errorName: 'INVALID_REQUEST', message: 'bad' });
  expect(calls).toEqual(['create@2']);
  failures.set(2, [new BarnabasError('THROTTLING_QUOTA_EXCEEDED', 'later')]);
  expect((await create()).metadataOffset).toBe(2);
});

test('a caller that is gone is not served on', async () => {
  leaderId = -1;
  const abort = new AbortController();
  const call = client.createTopics(v1.CreateTopicsRequest.create({}), { signal: abort.signal });
  await network.settle();
  abort.abort();
  await expect(call).rejects.toBeInstanceOf(BarnabasError);
});

test('finds a leader that the configuration does not know, and goes on without anybody that it does', async () => {
  controllerAt(4);
  leaderId = 4;
  named = [3, 4].map((id) => ({ id, host: 'controller', port: id, logEndOffset: -1, lastContactMs: -1 }));
  expect((await create()).metadataOffset).toBe(4);
  expect(controllers.voters.map(({ id }) => id)).toEqual([3, 4]);
  for (const { id } of voters) down.add(id);
  expect((await allocate()).firstProducerId).toBe(4);
});
