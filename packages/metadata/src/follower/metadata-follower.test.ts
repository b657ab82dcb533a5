import type { internal as messages } from '@barnabas/protocol';
import { BarnabasError, internal } from '@barnabas/protocol';
import { refuseAll, service } from '@barnabas/rpc';
import type { ResponseStream } from '@barnabas/rpc';
import type { ImageChanges } from '../changes.js';
import { emptyImage } from '../image.js';
import type { MetadataImage } from '../image.js';
import { TestNetwork } from '../test-kit/node.js';
import { ControllerDirectory } from './controller-directory.js';
import { MetadataFollower } from './metadata-follower.js';

interface Followed {
  readonly id: number;
  readonly request: messages.FollowMetadataRequest;
  readonly stream: ResponseStream<messages.FollowMetadataResponse>;
  readonly closed: () => boolean;
}

const voters = [1, 2].map((id) => ({ id, host: 'controller', port: id }));

let network: TestNetwork;
let followed: Followed[];
/** Controllers that cannot be reached. */
let down: ReadonlySet<number>;
let published: { readonly changes: ImageChanges; readonly image: MetadataImage }[];
let follower: MetadataFollower;
let controllers: ControllerDirectory;

function controllerAt(id: number): void {
  const registration = service(internal.ControllerServiceDefinition, {
    ...refuseAll(internal.ControllerServiceDefinition),
    followMetadata(request, stream) {
      if (down.has(id)) throw new BarnabasError('NETWORK_EXCEPTION', 'down');
      let closed = false;
      stream.handle({ onMessage() {}, onClose: () => (closed = true) });
      followed.push({ id, request, stream, closed: () => closed });
    },
  });
  network.serve(`controller:${id}`, registration);
}

function newFollower(clusterId = ''): MetadataFollower {
  const { environment, connector } = network;
  controllers = new ControllerDirectory(voters);
  const made = new MetadataFollower({ connector, controllers, nodeId: 5, clusterId, ...environment });
  made.addPublisher({ name: 'test', publish: (changes, image) => published.push({ changes, image }) });
  return made;
}

beforeEach(async () => {
  network = new TestNetwork();
  followed = [];
  down = new Set();
  published = [];
  controllerAt(1);
  controllerAt(2);
  follower = newFollower();
  follower.start();
  await network.settle();
});

afterEach(() => {
  follower.stop();
  network.close();
});

const clusterRecord: messages.MetadataRecord = { record: { $case: 'clusterId', clusterId: { clusterId: 'cluster' } } };
const topicRecord = (name: string): messages.MetadataRecord => {
  return { record: { $case: 'topic', topic: { name, topicId: `id of ${name}` } } };
};

function send(part: messages.FollowMetadataResponse['part'], clusterId = 'cluster', leaderId = 1): Promise<void> {
  followed.at(-1)?.stream.write({ clusterId, leaderId, voters: [], part });
  return network.settle();
}

function records(baseOffset: number, ...list: messages.MetadataRecord[]): messages.FollowMetadataResponse['part'] {
  const batch = { baseOffset, endOffset: baseOffset + list.length, term: 1, records: list };
  return { $case: 'records', records: batch };
}

function snapshot(
  endOffset: number,
  last: boolean,
  ...list: messages.MetadataRecord[]
): messages.FollowMetadataResponse['part'] {
  return { $case: 'snapshot', snapshot: { endOffset, last, term: 1, records: list } };
}

const names = () => [...follower.image.topics.idsByName.keys()].sort().join();

test('follows from the beginning, batch by batch, and tells publishers in order', async () => {
  expect(followed[0]?.request).toEqual({ nodeId: 5, fromOffset: 0, clusterId: '' });
  await send(undefined);
  expect([follower.controllerId, published.length]).toEqual([1, 0]);
  await send(records(0, clusterRecord, topicRecord('a')));
  await follower.ready;
  await send(records(2, topicRecord('b')), 'cluster', 2);
  expect([names(), follower.image.offset, follower.controllerId]).toEqual(['a,b', 3, 2]);
  expect(published.map(({ changes }) => changes.base)).toEqual([emptyImage, published[0]?.image]);
  expect(published[1]?.changes.changedTopics.map(({ topic }) => topic.name)).toEqual(['b']);
});

test('what is repeated is skipped, a gap is a fault', async () => {
  await send(records(0, clusterRecord, topicRecord('a')));
  await send(records(0, clusterRecord, topicRecord('a')));
  expect(published).toHaveLength(1);
  await send(records(3, topicRecord('c')));
  await expect(follower.failed).rejects.toThrow(/no gaps/);
  expect(followed[0]?.closed()).toBe(true);
  await send(records(2, topicRecord('b')));
  expect([names(), published.length]).toEqual(['a', 1]);
});

test('a stream that ends is taken up at another controller, at the offset reached', async () => {
  await send(records(0, clusterRecord, topicRecord('a')));
  const [first] = followed;
  first?.stream.end(new BarnabasError('NETWORK_EXCEPTION', 'cut'));
  await network.settle();
  expect(followed).toHaveLength(1);
  network.time.advance(1000);
  await network.settle();
  expect(followed[1]?.request).toEqual({ nodeId: 5, fromOffset: 2, clusterId: 'cluster' });
  await send(records(2, topicRecord('b')));
  expect(names()).toBe('a,b');
});

test('a controller that is down is passed over', async () => {
  down = new Set([1, 2]);
  followed[0]?.stream.end(new BarnabasError('NETWORK_EXCEPTION', 'cut'));
  for (let n = 0; n < 10; n++) {
    await network.settle();
    network.time.advance(1000);
  }
  expect(followed).toHaveLength(1);
  down = new Set([1]);
  for (let n = 0; n < 3; n++) {
    await network.settle();
    network.time.advance(1000);
  }
  expect(followed).toHaveLength(2);
  await send(records(0, clusterRecord));
  await follower.ready;
});

test('a snapshot replaces the image at once, when its last piece is there, and says what has changed', async () => {
  await send(records(0, clusterRecord, topicRecord('a'), topicRecord('b')));
  await send(snapshot(9, false, clusterRecord, topicRecord('b')));
  expect([names(), published.length]).toEqual(['a,b', 1]);
  await send(snapshot(9, true, topicRecord('c')));
  expect([names(), follower.image.offset]).toEqual(['b,c', 9]);
  const { changes } = published[1] ?? {};
  expect(changes?.changedTopics.map(({ topic }) => topic.name)).toEqual(['c']);
  expect([...(changes?.removedTopics.values() ?? [])].map(({ name }) => name)).toEqual(['a']);
  await send(records(9, topicRecord('d')));
  expect(names()).toBe('b,c,d');
});

test('half a snapshot is forgotten when its stream ends', async () => {
  await send(snapshot(9, false, clusterRecord, topicRecord('b')));
  followed[0]?.stream.end();
  await network.settle();
  network.time.advance(1000);
  await network.settle();
  await send(snapshot(7, true, clusterRecord, topicRecord('x')));
  expect([names(), follower.image.offset]).toEqual(['x', 7]);
});

test('an older snapshot than the image is not taken', async () => {
  await send(records(0, clusterRecord, topicRecord('a'), topicRecord('b')));
  await send(snapshot(2, true, clusterRecord, topicRecord('a')));
  expect([names(), follower.image.offset]).toEqual(['a,b', 3]);
});

test('controllers of another cluster are a fault', async () => {
  await send(records(0, clusterRecord));
  await send(undefined, 'other');
  await expect(follower.failed).rejects.toMatchObject({ errorName: 'INCONSISTENT_CLUSTER_ID' });
});

test('a node that knows its cluster says so, and a refusal for it is final', async () => {
  const other = newFollower('mine');
  other.start();
  await network.settle();
  expect(followed.at(-1)?.request.clusterId).toBe('mine');
  followed.at(-1)?.stream.end(new BarnabasError('INCONSISTENT_CLUSTER_ID', 'not yours'));
  await expect(other.failed).rejects.toMatchObject({ errorName: 'INCONSISTENT_CLUSTER_ID' });
  await expect(other.ready).rejects.toMatchObject({ errorName: 'INCONSISTENT_CLUSTER_ID' });
});

test('a publisher that throws ends the follower, and those after it are not told', async () => {
  const other = newFollower();
  other.addPublisher({
    name: 'bad',
    publish() {
      throw new Error('bad publisher');
    },
  });
  const told: MetadataImage[] = [];
  other.addPublisher({ name: 'late', publish: (_changes, image) => told.push(image) });
  other.start();
  await network.settle();
  await send(records(0, clusterRecord));
  await expect(other.failed).rejects.toThrow('bad publisher');
  expect([published.length, told.length]).toEqual([1, 0]);
});

test('waiting for a state ends when it is there, when time is up, and when the follower stops', async () => {
  const has = (name: string) => (image: MetadataImage) => image.topics.named(name) !== undefined;
  const soon = follower.waitFor(has('a'), 1000);
  const never = follower.waitFor(has('b'), 1000);
  const stopped = follower.waitFor(has('c'), 100_000);
  await send(records(0, clusterRecord, topicRecord('a')));
  expect(await soon).toBe(true);
  expect(await follower.waitFor(has('a'), 0)).toBe(true);
  network.time.advance(1000);
  expect(await never).toBe(false);
  follower.stop();
  expect(await stopped).toBe(false);
  expect(await follower.waitFor(has('c'), 1000)).toBe(false);
});

test('a follower that is stopped says nothing more and does not come back', async () => {
  follower.stop();
  await send(records(0, clusterRecord));
  network.time.advance(10_000);
  await network.settle();
  expect([published.length, followed.length, network.time.nextDeadline()]).toEqual([0, 1, undefined]);
});

test('learns from the stream who votes, and goes on with those when the ones it was told of are gone', async () => {
  controllerAt(3);
  await send(records(0, clusterRecord));
  const voter = { id: 3, host: 'controller', port: 3, logEndOffset: -1, lastContactMs: -1 };
  followed[0]?.stream.write({ clusterId: 'cluster', leaderId: 3, voters: [voter], part: undefined });
  await network.settle();
  expect(controllers.voters).toEqual([{ id: 3, host: 'controller', port: 3 }]);
  down = new Set([1, 2]);
  followed[0]?.stream.end();
  await network.until(untilFollowed(2));
  expect(followed.at(-1)).toMatchObject({ id: 3, request: { fromOffset: 1, clusterId: 'cluster' } });
});

test('a controller that has known no leader for long is left for another; one that finds it again is not', async () => {
  const [first] = followed;
  await send(records(0, clusterRecord), 'cluster', -1);
  network.time.advance(2_999);
  await send(undefined, 'cluster', 2);
  network.time.advance(10_000);
  await network.settle();
  expect([followed.length, first?.closed()]).toEqual([1, false]);
  await send(undefined, 'cluster', -1);
  await send(undefined, 'cluster', -1);
  network.time.advance(3_000);
  await network.until(untilFollowed(2));
  expect(first?.closed()).toBe(true);
  expect(followed.at(-1)?.id).not.toBe(first?.id);
});

/** Resolves once streams have been asked for this often. */
async function untilFollowed(count: number): Promise<void> {
  while (followed.length < count) await network.settle();
}
