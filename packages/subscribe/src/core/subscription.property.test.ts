import fc from 'fast-check';
import { BarnabasError } from '@barnabas/protocol';
import { LOG, ModelClient } from './test-kit/model-client.js';
import { keyOf } from './types.js';
import type { SubscriptionSettings, TopicPartition } from './types.js';

const PARTITIONS: readonly TopicPartition[] = [0, 1, 2].map((partition) => ({ topic: 't', partition }));

const settings: fc.Arbitrary<Partial<SubscriptionSettings>> = fc.record({
  delivery: fc.constantFrom('at-least-once', 'at-most-once'),
  creditMode: fc.constantFrom('by-ack', 'explicit'),
  credit: fc.record({ records: fc.integer({ min: 0, max: 30 }), bytes: fc.integer({ min: 0, max: 600 }) }),
  autoCommitIntervalMs: fc.constantFrom(undefined, 1_000),
  autoOffsetReset: fc.constantFrom('latest', 'earliest', 'none'),
});

const ACTIONS = [
  'assign',
  'revoke',
  'lose',
  'released',
  'deliver',
  'deliver',
  'deliver',
  'rotten',
  'ack',
  'ack',
  'ack',
  'commit',
  'answer',
  'answer',
  'refuse',
  'fail',
  'late',
  'seek',
  'pause',
  'resume',
  'credit',
  'locate',
  'locate',
  'end',
  'diverge',
  'time',
] as const;

const action = fc.record({
  kind: fc.constantFrom(...ACTIONS),
  on: fc.nat(PARTITIONS.length - 1),
  amount: fc.nat(12),
});

interface Action {
  readonly kind: (typeof ACTIONS)[number];
  readonly on: number;
  readonly amount: number;
}

/** Long enough for partitions to be read, moved and given up several times. */
function lives(length: number): fc.Arbitrary<Action[]> {
  return fc.array(action, { maxLength: length, size: 'max' });
}

function step(client: ModelClient, { kind, on, amount }: Action): void {
  const partition = PARTITIONS[on] as TopicPartition;
  const held = client.held.get(keyOf(partition));
  const fetch = client.fetchOf(partition);
  switch (kind) {
    case 'assign':
      if (!client.owned.has(keyOf(partition))) client.assign([partition]);
      if (amount > 3) client.locate();
      return;
    case 'revoke':
      if (client.owned.has(keyOf(partition))) client.revoke([partition], 1 + amount * 1_000);
      return;
    case 'lose':
      if (amount < 3) client.lose();
      return;
    case 'released':
      client.say({ $case: 'released', released: { partitions: [{ ...partition, topicId: '' }] } });
      return;
    case 'deliver':
      if (fetch !== undefined) client.deliver(fetch.generation, amount, on * 7);
      return;
    case 'rotten':
      if (fetch !== undefined && amount < 2) client.deliver(fetch.generation, 1, 10, true);
      return;
    case 'ack':
      if (held !== undefined && !held.isSeeking) {
        const pushed = held.next - held.acknowledged;
        client.acknowledge(partition, held.acknowledged + Math.ceil((pushed * amount) / 12));
      }
      return;
    case 'commit':
      client.say({ $case: 'commit', commit: { correlationId: amount, positions: [] } });
      return;
    case 'answer':
      client.answerCommit();
      return;
    case 'refuse':
      client.answerCommit('refused');
      return;
    case 'fail':
      client.answerCommit('failed');
      return;
    case 'late':
      client.arriveLate(amount % 2 === 0);
      return;
    case 'seek': {
      const offset = amount < 3 ? -1 - (amount % 2) : LOG.start + amount * 5;
      const others = PARTITIONS.slice(0, 1 + (amount % 3));
      const positions = others.map((each) => ({ ...each, offset, leaderEpoch: undefined, metadata: '' }));
      client.say({ $case: 'seek', seek: { correlationId: 1 + amount, positions } });
      return;
    }
    case 'pause':
    case 'resume': {
      const named = [{ ...partition, topicId: '' }];
      const paused = kind === 'pause' ? named : [];
      const resumed = kind === 'resume' ? named : [];
      client.say({ $case: 'pause', pause: { paused, resumed } });
      return;
    }
    case 'credit':
      client.say({ $case: 'credit', credit: { records: amount, bytes: amount * 20 } });
      return;
    case 'locate':
      client.locate();
      return;
    case 'end':
      if (fetch !== undefined) client.endFetch(fetch.generation, new BarnabasError('OFFSET_OUT_OF_RANGE', 'gone'));
      return;
    case 'diverge':
      if (fetch !== undefined) {
        const facts = { divergingEpoch: 0, divergingOffset: LOG.start + amount };
        client.endFetch(fetch.generation, new BarnabasError('OFFSET_OUT_OF_RANGE', 'another log', facts));
      }
      return;
    case 'time':
      client.advance(amount * 200);
  }
}

/** Answers everything, so that whatever is to come comes. */
function settle(client: ModelClient): void {
  for (let round = 0; round < 200; round += 1) {
    client.locate();
    client.answerCommit();
    if (client.lookups.length === 0 && client.commits.length === 0) return;
  }
}

test('whatever happens, what is pushed may be pushed, and what is let go was committed', () => {
  // ModelClient checks P1 to P3, A1 to A3, C1, S1 and S2 at every step.
  fc.assert(
    fc.property(settings, lives(250), (given, actions) => {
      const client = new ModelClient(given);
      client.join();
      for (const each of actions) step(client, each);
      settle(client);
      client.close();
      settle(client);
      client.advance(10_000);
      expect(client.left).toBeDefined();
      expect(client.fetchedAndKept).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test('what is acknowledged is committed in time', () => {
  fc.assert(
    fc.property(lives(150), (actions) => {
      const client = new ModelClient({ autoOffsetReset: 'earliest', autoCommitIntervalMs: 1_000 });
      client.join();
      for (const each of actions) step(client, each);
      settle(client);
      client.advance(3_000);
      settle(client);
      client.advance(3_000);
      settle(client);
      for (const [key, held] of client.held) {
        if (held.isRevoked || client.failed.has(key) || held.acknowledged < 0) continue;
        expect([key, client.committed.get(key)]).toEqual([key, held.acknowledged]);
      }
    }),
    { numRuns: 200 },
  );
});

test('with credit and time everything that is there is pushed', () => {
  fc.assert(
    fc.property(settings, lives(150), (given, actions) => {
      const client = new ModelClient({ ...given, autoOffsetReset: 'earliest' });
      client.join();
      for (const each of actions) step(client, each);
      settle(client);
      const resumed = PARTITIONS.map((partition) => ({ ...partition, topicId: '' }));
      client.say({ $case: 'pause', pause: { paused: [], resumed } });
      client.say({ $case: 'credit', credit: { records: 10_000, bytes: 10_000_000 } });
      for (let round = 0; round < 20; round += 1) {
        client.advance(2_000);
        settle(client);
      }
      for (const partition of PARTITIONS) {
        const fetch = client.fetchOf(partition);
        const held = client.held.get(keyOf(partition));
        if (fetch === undefined || held?.isRevoked !== false) continue;
        client.deliver(fetch.generation, 5);
        settle(client);
        expect(held.next).toBe(fetch.next);
      }
    }),
    { numRuns: 300 },
  );
});
