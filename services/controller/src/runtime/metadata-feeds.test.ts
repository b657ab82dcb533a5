import { MetadataDelta, SnapshotLoader, emptyImage } from '@barnabas/metadata';
import type { MetadataImage } from '@barnabas/metadata';
import type { internal } from '@barnabas/protocol';
import { Timeline } from '../core/index.js';
import { FakeStream } from '../test-kit/fake-stream.js';
import { plainImage } from '../test-kit/plain-image.js';
import { MetadataFeeds } from './metadata-feeds.js';

type Response = internal.FollowMetadataResponse;

let timeline: Timeline;
let feeds: MetadataFeeds;
let leaderId: number;
let voters: internal.QuorumVoter[];
const BATCH_BYTES = 100;

beforeEach(() => {
  timeline = new Timeline();
  leaderId = 1;
  voters = [voter(1)];
  // Room for four batches; trimmed to two.
  feeds = new MetadataFeeds({
    image: () => timeline.committed,
    quorum: () => ({ leaderId, voters }),
    tailBytes: 4 * BATCH_BYTES,
    snapshotPieceBytes: 1,
  });
  commit({ record: { $case: 'clusterId', clusterId: { clusterId: 'cluster' } } });
});

function voter(id: number): internal.QuorumVoter {
  return { id, host: `c${id}`, port: 7800, logEndOffset: -1, lastContactMs: -1 };
}

function commit(...records: internal.MetadataRecord[]): void {
  timeline.stage(records, 1);
  feeds.append(timeline.commitStaged().batch, BATCH_BYTES);
}

function commitTopics(from: number, to: number): void {
  for (let n = from; n < to; n++) commit({ record: { $case: 'topic', topic: { name: `t${n}`, topicId: `id-${n}` } } });
}

function follow(fromOffset: number, room?: number, clusterId = ''): FakeStream<Response> {
  const stream = new FakeStream<Response>(room);
  feeds.add({ nodeId: 1, fromOffset, clusterId }, stream);
  return stream;
}

/** What a follower makes of what it was sent. */
function applied(messages: readonly Response[], base: MetadataImage = emptyImage): MetadataImage {
  let image = base;
  let loader = new SnapshotLoader();
  for (const { part } of messages) {
    if (part?.$case === 'snapshot') {
      const loaded = loader.add(part.snapshot);
      if (loaded === undefined) continue;
      image = loaded;
      loader = new SnapshotLoader();
    } else if (part?.$case === 'records') {
      expect(part.records.baseOffset).toBe(image.offset);
      const delta = new MetadataDelta(image);
      for (const record of part.records.records) delta.replay(record);
      image = delta.apply({ offset: part.records.endOffset, term: part.records.term });
    }
  }
  return image;
}

const kinds = (messages: readonly Response[]) => messages.map(({ part }) => part?.$case ?? 'leader');

test('a new follower gets the state in pieces, then every batch', () => {
  commitTopics(0, 3);
  const stream = follow(0);
  const first = stream.take();
  expect(kinds(first)).toEqual(['leader', 'snapshot', 'snapshot', 'snapshot', 'snapshot']);
  expect(first.every((message) => message.clusterId === 'cluster' && message.leaderId === 1)).toBe(true);
  commitTopics(3, 5);
  const more = stream.take();
  expect(kinds(more)).toEqual(['records', 'records']);
  expect(plainImage(applied(more, applied(first)))).toEqual(plainImage(timeline.committed));
});

test('a follower that comes back gets what it missed, and only that', () => {
  commitTopics(0, 3);
  const stream = follow(3);
  expect(stream.take().map(({ part }) => part)).toEqual([
    undefined,
    { $case: 'records', records: expect.objectContaining({ baseOffset: 3, endOffset: 4 }) },
  ]);
});

test('a follower that comes back after the tail has moved on gets a snapshot', () => {
  const stream = follow(1);
  stream.close();
  expect(feeds.size).toBe(0);
  commitTopics(0, 8);
  const back = follow(1);
  const messages = back.take();
  expect(kinds(messages).slice(0, 2)).toEqual(['leader', 'snapshot']);
  expect(plainImage(applied(messages))).toEqual(plainImage(timeline.committed));
});

test('a follower that does not read is sent no more than it takes, and catches up by a snapshot', () => {
  const stream = follow(1, 2);
  const received = stream.take();
  commitTopics(0, 20);
  received.push(...stream.take());
  expect(kinds(received)).toEqual(['leader', 'records']);
  stream.drain(3);
  received.push(...stream.take());
  expect(received).toHaveLength(5);
  // While its snapshot is on its way, time goes on.
  commitTopics(20, 40);
  expect(stream.take()).toEqual([]);
  stream.drain(1000);
  received.push(...stream.take());
  expect(kinds(received).filter((kind) => kind === 'snapshot').length).toBeGreaterThan(20);
  expect(applied(received.slice(2)).offset).toBe(timeline.committed.offset);
  expect(plainImage(applied(received.slice(2)))).toEqual(plainImage(timeline.committed));
});

test('a follower that is ahead of a controller that lags waits for it', () => {
  const stream = follow(3);
  expect(kinds(stream.take())).toEqual(['leader']);
  commitTopics(0, 2);
  expect(stream.take()).toEqual([]);
  commitTopics(2, 3);
  expect(stream.take().map(({ part }) => part)).toMatchObject([{ records: { baseOffset: 3 } }]);
});

test('after a snapshot from the leader the followers of this controller get it too', () => {
  const stream = follow(1);
  stream.take();
  const { image } = new Timeline().commit({
    baseOffset: 0,
    endOffset: 2,
    term: 2,
    records: [
      { record: { $case: 'clusterId', clusterId: { clusterId: 'cluster' } } },
      { record: { $case: 'topic', topic: { name: 'x', topicId: 'X' } } },
    ],
  });
  timeline.restore(image);
  feeds.restart();
  expect(plainImage(applied(stream.take()))).toEqual(plainImage(image));
});

test('a new leader is announced once', () => {
  const stream = follow(1);
  stream.take();
  feeds.announceQuorum();
  expect(stream.take()).toEqual([]);
  leaderId = 2;
  feeds.announceQuorum();
  feeds.announceQuorum();
  expect(stream.take()).toMatchObject([{ leaderId: 2, part: undefined }]);
});

test('who votes is told at first, and again only when it has changed', () => {
  const stream = follow(1);
  expect(stream.take().map((message) => message.voters)).toEqual([[voter(1)]]);
  commitTopics(0, 1);
  voters = [{ ...voter(1), logEndOffset: 7, lastContactMs: 3 }];
  feeds.announceQuorum();
  expect(stream.take().map((message) => message.voters)).toEqual([[]]);
  voters = [voter(1), voter(2)];
  feeds.announceQuorum();
  feeds.announceQuorum();
  expect(stream.take()).toMatchObject([{ leaderId: 1, voters: [{ id: 1 }, { id: 2 }], part: undefined }]);
});

test('another cluster and an impossible offset are refused; stopping ends streams in good order', () => {
  expect(() => follow(1, 1, 'other')).toThrow(expect.objectContaining({ errorName: 'INCONSISTENT_CLUSTER_ID' }));
  expect(() => follow(-1)).toThrow(expect.objectContaining({ errorName: 'INVALID_REQUEST' }));
  const stream = follow(1, 1, 'cluster');
  feeds.stop();
  expect(stream.ended).toEqual({ error: undefined });
  // One that comes back to the controller that stops would hold it up.
  expect(() => follow(1, 1, 'cluster')).toThrow(expect.objectContaining({ errorName: 'NOT_CONTROLLER' }));
});
