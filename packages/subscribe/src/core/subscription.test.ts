/** Sequences that random lives meet too seldom to rely on. */
import { ModelClient } from './test-kit/model-client.js';

const P = { topic: 't', partition: 0 };
const Q = { topic: 't', partition: 1 };

function seek(client: ModelClient, offset: number, correlationId = 1): void {
  const positions = [{ ...P, offset, leaderEpoch: undefined, metadata: '' }];
  client.say({ $case: 'seek', seek: { correlationId, positions } });
}

function atMostOnce(): ModelClient {
  const client = new ModelClient({ delivery: 'at-most-once', autoCommitIntervalMs: undefined });
  client.join();
  client.committed.set('t-0', 20);
  client.assign([P]);
  return client;
}

describe('a seek and the commits around it', () => {
  test('its commit goes back, and none that was asked for meanwhile goes back behind it', () => {
    const client = atMostOnce();
    seek(client, 40);
    client.deliverTo(P, 2);
    expect(client.commits).toMatchObject([{ offsets: [{ offset: 42, rewinds: 1 }] }]);
    // Where the client is: at 40, since nothing has been pushed yet.
    client.say({ $case: 'commit', commit: { correlationId: 1, positions: [] } });
    client.answerCommit();
    expect(client.commits).toMatchObject([{ offsets: [{ offset: 40, rewinds: 1 }] }]);
    client.answerCommit();
    expect(client.committed.get('t-0')).toBe(42);
  });

  test('a commit of before does not stand for what is read after', () => {
    const client = atMostOnce();
    client.deliverTo(P, 4);
    expect(client.commits).toMatchObject([{ offsets: [{ offset: 24, rewinds: 0 }] }]);
    seek(client, 10);
    client.deliverTo(P, 4);
    client.answerCommit();
    // 24 is committed, but it is not what lets 10 to 13 go.
    expect(client.pushes).toEqual([]);
    expect(client.commits).toMatchObject([{ offsets: [{ offset: 14, rewinds: 1 }] }]);
    client.answerCommit();
    expect(client.pushes.map(({ parcel }) => parcel.nextOffset)).toEqual([14]);
    expect(client.committed.get('t-0')).toBe(14);
  });

  test('what was acknowledged before a seek that looks up its offset is committed as what it is', () => {
    const client = new ModelClient({ autoCommitIntervalMs: 1_000 });
    client.join();
    client.committed.set('t-0', 20);
    client.assign([P]);
    client.deliverTo(P, 4);
    client.acknowledge(P, 22);
    seek(client, -2);
    client.say({ $case: 'commit', commit: { correlationId: 2, positions: [] } });
    expect(client.commits).toMatchObject([{ offsets: [{ offset: 22, rewinds: 0 }] }]);
    client.locate();
    client.answerCommit();
    client.advance(1_000);
    expect(client.commits).toMatchObject([{ offsets: [{ offset: 20, rewinds: 1 }] }]);
  });

  test('a commit that goes back and is late undoes nothing', () => {
    const client = new ModelClient({ autoCommitIntervalMs: 1_000 });
    client.join();
    client.committed.set('t-0', 20);
    client.assign([P]);
    seek(client, 5);
    client.advance(1_000);
    expect(client.commits).toMatchObject([{ offsets: [{ offset: 5, rewinds: 1 }] }]);
    client.answerCommit('failed');
    client.deliverTo(P, 4);
    client.acknowledge(P, 9);
    client.advance(1_000);
    expect(client.commits).toMatchObject([{ offsets: [{ offset: 9, rewinds: 1 }] }]);
    client.answerCommit();
    client.arriveLate(true);
    expect(client.committed.get('t-0')).toBe(9);
  });

  test('a seek of several partitions is in force for all of them at once', () => {
    const client = new ModelClient({ autoCommitIntervalMs: undefined });
    client.join();
    for (const key of ['t-0', 't-1']) client.committed.set(key, 20);
    client.assign([P, Q]);
    client.deliverTo(P, 4);
    client.acknowledge(P, 22);
    const at = { leaderEpoch: undefined, metadata: '' };
    const positions = [
      { ...P, ...at, offset: 5 },
      { ...Q, ...at, offset: -1 },
    ];
    client.say({ $case: 'seek', seek: { correlationId: 1, positions } });
    client.say({ $case: 'commit', commit: { correlationId: 2, positions: [] } });
    expect(client.commits).toMatchObject([{ offsets: [{ offset: 22, rewinds: 0 }] }]);
    client.answerCommit();
    client.locate();
    const [sought] = client.heard('sought');
    expect(sought).toMatchObject({ sought: { positions: [{ offset: 5 }, { offset: 80 }] } });
  });
});

test('with delivery at most once a revocation gives back what is committed and not pushed', () => {
  const client = atMostOnce();
  client.deliverTo(P, 3);
  expect(client.commits).toMatchObject([{ offsets: [{ offset: 23 }] }]);
  client.revoke([P]);
  expect(client.heard('revoked')).toHaveLength(1);
  client.say({ $case: 'released', released: { partitions: [{ ...P, topicId: '' }] } });
  expect(client.released).toEqual([]);
  client.answerCommit();
  expect(client.commits).toMatchObject([{ offsets: [{ offset: 20, rewinds: 1 }] }]);
  client.answerCommit();
  expect(client.released).toEqual(['t-0']);
  expect(client.committed.get('t-0')).toBe(20);
  expect(client.pushes).toEqual([]);
});

test('a commit of a topic that the coordinator does not know is not tried again at once', () => {
  const client = atMostOnce();
  client.deliverTo(P, 3);
  client.answerCommit('unknown');
  expect(client.commits).toEqual([]);
  client.advance(1_000);
  expect(client.commits).toMatchObject([{ offsets: [{ offset: 23 }] }]);
  client.answerCommit();
  expect(client.pushes.map(({ parcel }) => parcel.nextOffset)).toEqual([23]);
});

test('a lost membership ends a seek that waits for another partition', () => {
  const client = new ModelClient();
  client.join();
  for (const key of ['t-0', 't-1']) client.committed.set(key, 20);
  client.assign([P, Q]);
  const at = (partition: number, offset: number) => ({
    topic: 't',
    partition,
    offset,
    leaderEpoch: undefined,
    metadata: '',
  });
  client.say({ $case: 'seek', seek: { correlationId: 1, positions: [at(0, 30), at(1, -1)] } });
  expect(client.fetches.size).toBe(0);
  client.lose();
  expect(client.heard('sought')).toEqual([]);
  expect(client.fetches.size).toBe(0);
});

test('a partition takes its turn', () => {
  const client = new ModelClient({ creditMode: 'explicit', credit: { records: 0, bytes: 0 } });
  client.join();
  for (const key of ['t-0', 't-1']) client.committed.set(key, 0);
  client.assign([P, Q]);
  client.deliverTo(P, 8);
  client.deliverTo(Q, 8);
  client.say({ $case: 'credit', credit: { records: 16, bytes: 10_000 } });
  expect(client.pushes.map(({ partition }) => partition.partition)).toEqual([0, 1, 0, 1]);
});

test('a commit is answered once, with what became of each position, also when the membership is lost', () => {
  const client = new ModelClient({ autoCommitIntervalMs: undefined });
  client.join();
  client.committed.set('t-0', 20);
  client.assign([P]);
  const position = { ...P, offset: 21, leaderEpoch: undefined, metadata: '' };
  client.say({ $case: 'commit', commit: { correlationId: 1, positions: [position] } });
  client.say({ $case: 'commit', commit: { correlationId: 2, positions: [position, { ...position, partition: 7 }] } });
  client.lose();
  const answers = client
    .heard('committed')
    .map((message) => (message?.$case === 'committed' ? message.committed : undefined));
  expect(answers.map((answer) => [answer?.correlationId, answer?.results.map(({ error }) => error?.code)])).toEqual([
    [1, [110]],
    [2, [110, 113]],
  ]);
  expect(client.subscription.isBusy).toBe(false);
});
