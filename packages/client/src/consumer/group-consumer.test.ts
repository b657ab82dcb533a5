/** Consumers in groups, against a cluster in memory whose coordinator is a small model. */
import { BatchBuilder } from '@barnabas/protocol';
import type { BarnabasError, v1 } from '@barnabas/protocol';
import { BarnabasClient } from '../client.js';
import type { ConsumerOptions } from '../options/consumer-options.js';
import type { ConsumerRecord } from '../records.js';
import { Harness, onMethod, settle, times } from '../testing/index.js';
import type { HarnessOptions } from '../testing/index.js';
import type { Consumer } from './consumer.js';

let harness: Harness;

afterEach(() => harness.close());

function start(options: HarnessOptions = {}): void {
  harness = new Harness({ brokers: 2, topics: { t: 4 }, ...options });
}

function consumer(options: ConsumerOptions = {}): Consumer {
  return harness.client.consumer({ groupId: 'g', autoOffsetReset: 'earliest', ...options });
}

/** Appends records to a partition: its number and theirs. */
function append(partition: number, count: number, key?: (index: number) => string): void {
  const log = harness.cluster.partition('t', partition);
  const builder = new BatchBuilder({ maxBytes: 1_000_000 });
  for (let index = 0; index < count; index++) {
    const value = Buffer.from(`${partition}/${log.logEndOffset + index}`);
    const named = key === undefined ? null : Buffer.from(key(index));
    builder.tryAppend({ key: named, value, headers: [], timestamp: 1 });
  }
  log.append(builder.build());
}

function appendToAll(count: number): void {
  for (let partition = 0; partition < 4; partition++) append(partition, count);
}

async function until(isSo: () => boolean, limitMs = 100_000): Promise<void> {
  const { time } = harness.environment;
  const begun = time.monotonic();
  while (!isSo()) {
    await settle(2);
    if (isSo()) return;
    if (time.monotonic() - begun > limitMs) throw new Error('it does not become so');
    time.advance(10);
  }
}

/** Lets so much time pass, in steps in which everything has its turn. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10) {
    await settle(2);
    harness.environment.time.advance(10);
  }
  await settle(2);
}

function committed(partition: number): number | undefined {
  return harness.cluster.groups.committed('g', 't', partition);
}

function group() {
  return harness.cluster.groups.group('g');
}

function texts(records: readonly ConsumerRecord[]): string[] {
  return records.map(({ value }) => String(value));
}

/** A gate that a test opens. */
function gate() {
  let open: () => void = () => undefined;
  const whenOpen = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open: () => open(), whenOpen };
}

/** Reads in a loop until it ends; each record waits for `handle`. */
class Reader {
  readonly records: ConsumerRecord[] = [];
  readonly told: string[] = [];
  failure: unknown;
  readonly ended: Promise<void>;

  constructor(
    readonly consumer: Consumer,
    handle: (record: ConsumerRecord) => void | Promise<void> = () => undefined,
    isSubscribing = true,
  ) {
    if (isSubscribing) {
      const note = (what: string) => (partitions: readonly { partition: number }[]) => {
        this.told.push(
          `${what} ${partitions
            .map(({ partition }) => partition)
            .sort()
            .join('')}`,
        );
      };
      consumer.subscribe('t', { onAssigned: note('+'), onRevoked: note('-'), onLost: note('!') });
    }
    this.ended = this.#read(handle);
  }

  async #read(handle: (record: ConsumerRecord) => void | Promise<void>): Promise<void> {
    try {
      for await (const record of this.consumer) {
        this.records.push(record);
        await handle(record);
      }
    } catch (error) {
      this.failure = error;
    }
  }
}

describe('sharing', () => {
  test('every record comes to one member, in order in each partition; who comes later goes on', async () => {
    start();
    appendToAll(50);
    const one = new Reader(consumer());
    await until(() => one.records.length === 200);
    const two = new Reader(consumer());
    await until(() => two.consumer.assignment().length === 2 && one.consumer.assignment().length === 2);
    appendToAll(50);
    await until(() => one.records.length + two.records.length === 400);
    await pass(500);
    const all = [...texts(one.records), ...texts(two.records)];
    expect(new Set(all).size).toBe(400);
    expect(all).toHaveLength(400);
    for (const { records } of [one, two]) {
      for (let partition = 0; partition < 4; partition++) {
        const offsets = records.filter((record) => record.partition === partition).map(({ offset }) => offset);
        expect(offsets).toEqual([...offsets].sort((left, right) => left - right));
      }
    }
    expect(one.told).toEqual(['+ 0123', expect.stringMatching(/^- \d\d$/)]);
    await harness.run(two.consumer.close());
    await until(() => one.consumer.assignment().length === 4);
    expect(two.told[1]).toMatch(/^- \d\d$/);
    await harness.run(one.consumer.close());
    expect([0, 1, 2, 3].map(committed)).toEqual([100, 100, 100, 100]);
    expect(group().members.size).toBe(0);
    await one.ended;
  });

  test('by a pattern, also topics that come later', async () => {
    start({ topics: { 'orders-1': 1, other: 1 } });
    const one = consumer();
    one.subscribe(/orders-\d+/);
    expect(one.subscription()).toEqual({ topics: [], pattern: 'orders-\\d+' });
    const reader = new Reader(one, undefined, false);
    await until(() => one.assignment().length === 1);
    harness.cluster.createTopic('orders-2', 2);
    await until(() => one.assignment().length === 3);
    expect(new Set(one.assignment().map(({ topic }) => topic))).toEqual(new Set(['orders-1', 'orders-2']));
    one.subscribe('other');
    await until(() => one.assignment().length === 1);
    expect(one.assignment()).toEqual([{ topic: 'other', partition: 0 }]);
    await harness.run(one.unsubscribe());
    expect([one.assignment(), group().members.size]).toEqual([[], 0]);
    await harness.run(one.close());
    await reader.ended;
  });

  test('nobody joins before records are asked for', async () => {
    start();
    const one = consumer();
    one.subscribe(['t']);
    await pass(1_000);
    expect(group().members.size).toBe(0);
    expect(one.groupMetadata()).toEqual({ groupId: 'g', memberId: '', memberEpoch: -1, groupInstanceId: '' });
    const reader = new Reader(one, undefined, false);
    await until(() => one.assignment().length === 4);
    const { memberId, memberEpoch } = one.groupMetadata();
    expect(group().members.get(memberId)?.epoch).toBe(memberEpoch);
    await harness.run(one.close());
    await reader.ended;
  });

  test('a static member that restarts moves nothing', async () => {
    start();
    const one = new Reader(consumer({ groupInstanceId: 'i' }));
    const two = new Reader(consumer());
    await until(() => one.consumer.assignment().length === 2 && two.consumer.assignment().length === 2);
    const before = one.consumer.assignment();
    const told = two.told.length;
    await harness.run(one.consumer.close());
    const again = new Reader(consumer({ groupInstanceId: 'i' }));
    await until(() => again.consumer.assignment().length === 2);
    expect(again.consumer.assignment()).toEqual(before);
    expect(two.told).toHaveLength(told);
  });

  test('who begins at a committed offset finds the leaders, too', async () => {
    start();
    appendToAll(2);
    const one = new Reader(consumer());
    await until(() => one.records.length === 8);
    await harness.run(one.consumer.close());
    appendToAll(1);
    // Of its own client nothing else has asked for the topic.
    const { cluster, environment } = harness;
    const client = new BarnabasClient({ bootstrap: cluster.bootstrap, connector: cluster.connector, environment });
    const two = new Reader(client.consumer({ groupId: 'g' }));
    await until(() => two.records.length === 4);
    expect(texts(two.records).sort()).toEqual(['0/2', '1/2', '2/2', '3/2']);
    await harness.run(client.close());
  });

  test('another look at the assignment can be asked for', async () => {
    start();
    const one = new Reader(consumer());
    await until(() => one.consumer.assignment().length === 4);
    const before = one.consumer.groupMetadata().memberEpoch;
    one.consumer.enforceRebalance();
    await until(() => one.consumer.groupMetadata().memberEpoch > before);
  });

  test('a partition that the coordinator has heard of first is read once brokers know it', async () => {
    start();
    appendToAll(1);
    const reader = new Reader(consumer());
    await until(() => reader.records.length === 4);
    harness.cluster.freezeMetadata();
    harness.cluster.addPartitions('t', 5);
    append(4, 2);
    await until(() => reader.told.includes('+ 4'));
    await pass(5_000);
    expect([reader.records.length, reader.failure]).toEqual([4, undefined]);
    harness.cluster.thawMetadata();
    await until(() => reader.records.length === 6);
    expect(texts(reader.records.slice(4))).toEqual(['4/0', '4/1']);
  });

  test('a partition whose leader is away for long is read once it is back', async () => {
    start();
    appendToAll(1);
    const stop = harness.cluster.intercept(onMethod('ListOffsets', { kind: 'error', error: 'LEADER_NOT_AVAILABLE' }));
    const reader = new Reader(consumer({ defaultApiTimeoutMs: 2_000 }));
    await until(() => reader.told.length > 0);
    await pass(7_000);
    expect([reader.records.length, reader.failure]).toEqual([0, undefined]);
    stop();
    await until(() => reader.records.length === 4);
  });

  test('a partition that is revoked while brokers do not know it holds nothing up', async () => {
    start();
    appendToAll(1);
    const reader = new Reader(consumer());
    await until(() => reader.records.length === 4);
    harness.cluster.freezeMetadata();
    harness.cluster.addPartitions('t', 5);
    await until(() => reader.told.includes('+ 4'));
    const other = new Reader(consumer());
    await until(() => other.told.length > 0 && group().members.size === 2);
    await until(() => reader.told.some((told) => told.startsWith('-')), 3_000);
    await harness.run(reader.consumer.close(1_000));
    expect(reader.failure).toBeUndefined();
  });
});

describe('commits by itself', () => {
  test('cover what the loop has come back from, and no more', async () => {
    start();
    append(0, 5);
    const held = gate();
    const one = new Reader(consumer(), async ({ offset }) => {
      if (offset === 3) await held.whenOpen;
    });
    await until(() => one.records.length === 4);
    await pass(6_000);
    expect(committed(0)).toBe(3);
    held.open();
    await until(() => one.records.length === 5);
    await pass(6_000);
    expect(committed(0)).toBe(5);
  });

  test('are not made for a record whose handling failed', async () => {
    start();
    append(0, 5);
    const one = new Reader(consumer(), ({ offset }) => {
      if (offset === 3) throw new TypeError('broken');
    });
    await until(() => one.failure !== undefined);
    await harness.run(one.consumer.close());
    expect(committed(0)).toBe(3);
    const two = new Reader(consumer());
    await until(() => two.records.length === 2);
    expect(texts(two.records)).toEqual(['0/3', '0/4']);
  });

  test('also remember where a partition without records was begun', async () => {
    start();
    appendToAll(3);
    const one = new Reader(consumer({ autoOffsetReset: 'latest' }));
    await until(() => one.consumer.assignment().length === 4);
    await pass(6_000);
    expect([0, 1, 2, 3].map(committed)).toEqual([3, 3, 3, 3]);
  });

  test('can be switched off', async () => {
    start();
    append(0, 5);
    const one = new Reader(consumer({ enableAutoCommit: false }));
    await until(() => one.records.length === 5);
    await pass(6_000);
    await harness.run(one.consumer.close());
    expect(committed(0)).toBeUndefined();
  });
});

describe('commits of the application', () => {
  test('at most once: what is committed before it is handled does not come again', async () => {
    start();
    append(0, 5);
    const one = consumer({ enableAutoCommit: false });
    const reader = new Reader(one, async ({ offset }) => {
      await one.commit();
      if (offset === 2) throw new TypeError('died while handling');
    });
    await until(() => reader.failure !== undefined);
    await harness.run(one.close());
    const two = new Reader(consumer());
    await until(() => two.records.length === 2);
    expect(texts(two.records)).toEqual(['0/3', '0/4']);
  });

  test('carry what they are given, and go back when told to', async () => {
    start();
    append(0, 5);
    const one = consumer({ enableAutoCommit: false });
    const reader = new Reader(one);
    await until(() => reader.records.length === 5);
    const [none] = await harness.run(one.committed([{ topic: 't', partition: 0 }]));
    expect(none).toBeUndefined();
    await harness.run(one.commit());
    await harness.run(one.commit([{ topic: 't', partition: 0, offset: 2, leaderEpoch: 0, metadata: 'half' }]));
    const [back] = await harness.run(one.committed([{ topic: 't', partition: 0 }]));
    expect(back).toEqual({ topic: 't', partition: 0, offset: 2, leaderEpoch: 0, metadata: 'half' });
    const told: unknown[] = [];
    one.commitAsync([{ topic: 't', partition: 0, offset: 4 }], (error, offsets) =>
      told.push(error, offsets[0]?.offset),
    );
    one.commitAsync(undefined, (error) => told.push(error));
    await until(() => told.length === 3);
    expect([told, committed(0)]).toEqual([[undefined, 4, undefined], 5]);
    await expect(harness.run(one.commit([{ topic: 't', partition: 0, offset: -1 }]))).rejects.toMatchObject({
      errorName: 'INVALID_REQUEST',
    });
    await expect(harness.run(one.commit([{ topic: 't', partition: 9, offset: 1 }]))).rejects.toMatchObject({
      errorName: 'UNKNOWN_TOPIC_OR_PARTITION',
    });
  });

  test('after a seek go back, by themselves too', async () => {
    start();
    append(0, 5);
    const one = consumer();
    const held = gate();
    const reader = new Reader(one, async () => {
      if (reader.records.length === 7) await held.whenOpen;
    });
    await until(() => reader.records.length === 5);
    await pass(6_000);
    expect(committed(0)).toBe(5);
    one.seek({ topic: 't', partition: 0 }, 1);
    await until(() => reader.records.length === 7);
    await pass(6_000);
    expect(committed(0)).toBe(2);
    held.open();
    await until(() => reader.records.length === 9);
    await pass(6_000);
    expect(committed(0)).toBe(5);
  });

  test('that go back and are late undo nothing', async () => {
    start();
    appendToAll(20);
    const one = consumer({ enableAutoCommit: false });
    const reader = new Reader(one);
    await until(() => reader.records.length === 80);
    const coordinate = (id: number) => {
      for (let at = 0; at < 4; at++) harness.cluster.moveLeader('__consumer_offsets', at, id);
    };
    coordinate(1);
    const t0 = { topic: 't', partition: 0 };
    await harness.run(one.commit([{ ...t0, offset: 15 }]));
    one.seek(t0, 3);
    // The first attempt is held up on its way, and given up for another coordinator; the second comes through.
    const late = gate();
    harness.cluster.intercept(times(1, onMethod('CommitOffsets', { kind: 'hold', until: late.whenOpen })));
    const committing = one.commit([{ ...t0, offset: 3 }]);
    await settle(20);
    coordinate(2);
    await harness.run(committing);
    coordinate(1);
    expect(committed(0)).toBe(3);
    await harness.run(one.commit([{ ...t0, offset: 7 }]));
    expect(committed(0)).toBe(7);
    late.open();
    await settle(10);
    expect(committed(0)).toBe(7);
    // Going back once more is another matter, by a seek or by name.
    await harness.run(one.commit([{ ...t0, offset: 5 }]));
    expect(committed(0)).toBe(5);
    one.seek(t0, 0);
    await harness.run(one.commit([{ ...t0, offset: 0 }]));
    expect(committed(0)).toBe(0);
    await harness.run(one.close());
  });

  test('of partitions that are assigned by hand are nobody’s member’s, and are where the next one begins', async () => {
    start();
    append(1, 5);
    const one = consumer();
    await harness.run(one.assign([{ topic: 't', partition: 1, position: { offset: 2 } }]));
    const reader = new Reader(one, undefined, false);
    await until(() => reader.records.length === 3);
    await harness.run(one.commit());
    expect(group().members.size).toBe(0);
    await harness.run(one.close());
    append(1, 1);
    const two = consumer();
    await harness.run(two.assign([{ topic: 't', partition: 1 }]));
    expect(two.position({ topic: 't', partition: 1 })).toBe(5);
    const next = new Reader(two, undefined, false);
    await until(() => next.records.length === 1);
  });

  test('of who has lost its membership are refused', async () => {
    start();
    append(0, 5);
    const one = consumer({ enableAutoCommit: false });
    const reader = new Reader(one);
    await until(() => reader.records.length === 5);
    harness.cluster.intercept(onMethod('ConsumerGroupHeartbeat', { kind: 'drop' }));
    group().remove(one.groupMetadata().memberId);
    await expect(harness.run(one.commit())).rejects.toMatchObject({ errorName: 'UNKNOWN_MEMBER_ID' });
  });
});

describe('the leader epoch of a position', () => {
  test('is committed, and reading begins with it: records that were lost meanwhile are found out (KIP-320)', async () => {
    start();
    const log = harness.cluster.partition('t', 0);
    append(0, 3);
    harness.cluster.moveLeader('t', 0, 2);
    append(0, 2);
    const one = new Reader(consumer());
    await until(() => one.records.length === 5);
    await harness.run(one.consumer.close());
    const commit = [...group().commits.values()].find(({ partition }) => partition === 0);
    expect(commit).toMatchObject({ offset: 5, leaderEpoch: log.leaderEpoch });
    // As after an unclean election: other records in a later epoch.
    log.truncateTo(3);
    harness.cluster.moveLeader('t', 0, 1);
    append(0, 4);
    const two = new Reader(consumer());
    await until(() => two.records.length === 4);
    expect(two.records.map(({ offset }) => offset)).toEqual([3, 4, 5, 6]);
  });
});

describe('a partition that is revoked', () => {
  test('waits for the record in hand, its listener and its commit; nothing more of it is handed out', async () => {
    start();
    // The model keeps partitions 0 and 1 where they are and moves the others.
    append(3, 10);
    const held = gate();
    const order: string[] = [];
    const one = consumer();
    one.subscribe('t', {
      onRevoked: async () => {
        order.push('revoking');
        await held.whenOpen;
        await settle(3);
        order.push('revoked');
      },
    });
    const reader = new Reader(
      one,
      async ({ offset }) => {
        if (offset !== 2) return;
        await held.whenOpen;
        order.push('done');
      },
      false,
    );
    await until(() => reader.records.length === 3);
    harness.cluster.intercept(({ method }) => {
      if (method === 'CommitOffsets') order.push('commit');
      return undefined;
    });
    const two = new Reader(consumer());
    await until(() => two.consumer.groupMetadata().memberEpoch > 0);
    await pass(2_000);
    expect([order, two.consumer.assignment(), one.assignment().length]).toEqual([[], [], 4]);
    held.open();
    await until(() => two.records.length === 7);
    expect(order).toEqual(['done', 'revoking', 'revoked', 'commit']);
    expect(reader.records.map(({ offset }) => offset)).toEqual([0, 1, 2]);
    expect(two.records.map(({ offset }) => offset)).toEqual([3, 4, 5, 6, 7, 8, 9]);
    expect(committed(3)).toBe(3);
  });

  test('goes at the end of the grace though its handler does not end; the handler is told', async () => {
    start();
    append(0, 1);
    const one = consumer({ maxPollIntervalMs: 20_000, enableAutoCommit: false });
    const signals: AbortSignal[] = [];
    const held = gate();
    one.subscribe('t');
    const running = one.run({
      eachRecord: async (_, { signal }) => {
        signals.push(signal);
        await held.whenOpen;
      },
    });
    await until(() => signals.length === 1);
    // Only partition 0 is interesting: everybody else's are given to newcomers first.
    const others = [new Reader(consumer()), new Reader(consumer()), new Reader(consumer()), new Reader(consumer())];
    await until(() => group().members.size === 5);
    await pass(25_000);
    await until(() => one.assignment().length === 0 || signals[0]?.aborted === true);
    expect(signals[0]?.aborted).toBe(true);
    held.open();
    await harness.run(Promise.all([one.close(), ...others.map((other) => other.consumer.close())]));
    await running;
  });
});

describe('a membership that is lost', () => {
  test('drops everything without a commit, and is begun anew', async () => {
    start();
    append(0, 10);
    const held = gate();
    const one = new Reader(consumer(), async () => {
      if (one.records.length === 4) await held.whenOpen;
    });
    await until(() => one.records.length === 4);
    harness.cluster.groups.remove('g', one.consumer.groupMetadata().memberId);
    await until(() => one.told.length === 3);
    expect(one.told).toEqual(['+ 0123', '! 0123', '+ 0123']);
    expect(committed(0)).toBeUndefined();
    held.open();
    await until(() => one.records.length === 14);
    expect(texts(one.records).slice(4)).toEqual(Array.from({ length: 10 }, (_, offset) => `0/${offset}`));
  });

  test('for good ends the loop with the reason; a new subscription may do better', async () => {
    start();
    harness.cluster.intercept(
      times(1, onMethod('ConsumerGroupHeartbeat', { kind: 'error', error: 'GROUP_AUTHORIZATION_FAILED' })),
    );
    const one = new Reader(consumer());
    await until(() => one.failure !== undefined);
    expect((one.failure as BarnabasError).errorName).toBe('GROUP_AUTHORIZATION_FAILED');
    const again = new Reader(one.consumer);
    await until(() => one.consumer.assignment().length === 4);
    await harness.run(one.consumer.close());
    await again.ended;
  });
});

describe('an application', () => {
  test('that handles slowly stays a member: heartbeats do not wait for it', async () => {
    start();
    append(0, 1);
    const beats: number[] = [];
    harness.cluster.intercept(({ method }) => {
      if (method === 'ConsumerGroupHeartbeat') beats.push(harness.environment.time.monotonic());
      return undefined;
    });
    const held = gate();
    const one = new Reader(consumer(), () => held.whenOpen);
    await until(() => one.records.length === 1);
    await pass(120_000);
    held.open();
    const gaps = beats.slice(1).map((at, index) => at - (beats[index] ?? 0));
    expect(beats.length).toBeGreaterThan(20);
    expect(Math.max(...gaps)).toBeLessThan(6_000);
    expect(one.told).toEqual(['+ 0123']);
  });

  test('that does not come back in time is out of the group, with what is done committed, and in again when it does', async () => {
    start();
    append(0, 5);
    const held = gate();
    const one = new Reader(consumer({ maxPollIntervalMs: 10_000, autoCommitIntervalMs: 1_000_000 }), async () => {
      if (one.records.length === 3) await held.whenOpen;
    });
    await until(() => one.records.length === 3);
    await pass(9_500);
    expect(group().members.size).toBe(1);
    await pass(2_000);
    expect([group().members.size, one.told, committed(0)]).toEqual([0, ['+ 0123', '! 0123'], 2]);
    expect(one.consumer.assignment()).toEqual([]);
    held.open();
    await until(() => one.records.length === 6);
    expect(texts(one.records)).toEqual(['0/0', '0/1', '0/2', '0/2', '0/3', '0/4']);
    expect(group().members.size).toBe(1);
  });

  test('that waits for records is not late', async () => {
    start();
    const one = new Reader(consumer({ maxPollIntervalMs: 5_000 }));
    await until(() => one.consumer.assignment().length === 4);
    await pass(30_000);
    expect(one.told).toEqual(['+ 0123']);
  });

  test('hears of what its listener throws', async () => {
    start();
    const one = consumer();
    one.subscribe('t', {
      onAssigned: () => {
        throw new TypeError('no');
      },
    });
    const reader = new Reader(one, undefined, false);
    await until(() => reader.failure !== undefined);
    expect(String(reader.failure)).toContain('a rebalance listener failed: no');
  });

  test('may seek and pause while it is told of partitions', async () => {
    start();
    appendToAll(5);
    const one = consumer();
    one.subscribe('t', {
      onAssigned: (partitions) => {
        for (const partition of partitions) one.seek(partition, 4);
        one.pause([{ topic: 't', partition: 3 }]);
      },
    });
    const reader = new Reader(one, undefined, false);
    await until(() => reader.records.length === 3);
    await pass(1_000);
    expect(texts(reader.records).sort()).toEqual(['0/4', '1/4', '2/4']);
    one.resume([{ topic: 't', partition: 3 }]);
    await until(() => reader.records.length === 4);
    expect(one.currentLag({ topic: 't', partition: 3 })).toBe(0);
  });
});

describe('at the door', () => {
  test('a group without a position and without a reset is told', async () => {
    start();
    append(0, 3);
    const one = new Reader(consumer({ autoOffsetReset: 'none' }));
    await until(() => one.failure !== undefined);
    expect(one.failure).toMatchObject({ errorName: 'OFFSET_OUT_OF_RANGE' });
    const { consumer: stopped } = one;
    for (const { topic, partition } of stopped.assignment())
      stopped.seek({ topic, partition }, partition === 0 ? 1 : 0);
    const again = new Reader(stopped, undefined, false);
    await until(() => again.records.length === 2);
  });

  test('what contradicts itself is refused', async () => {
    start();
    const alone = harness.client.consumer();
    for (const call of [
      () => alone.subscribe('t'),
      () => alone.commitAsync(),
      () => alone.groupMetadata(),
      () => alone.enforceRebalance(),
    ]) {
      expect(call).toThrow(expect.objectContaining({ errorName: 'INVALID_GROUP_ID' }));
    }
    await expect(alone.committed([])).rejects.toMatchObject({ errorName: 'INVALID_GROUP_ID' });
    const one = consumer();
    expect(() => one.subscribe([])).toThrow('at least one topic');
    expect(() => one.subscribe(/a/i)).toThrow(expect.objectContaining({ errorName: 'INVALID_REGULAR_EXPRESSION' }));
    one.subscribe('t');
    await expect(one.assign([{ topic: 't', partition: 0 }])).rejects.toThrow('unsubscribe before assign');
    const two = consumer();
    await harness.run(two.assign([{ topic: 't', partition: 0, position: 'earliest' }]));
    expect(() => two.subscribe('t')).toThrow('assign([]) before subscribe');
    expect(() => harness.client.consumer({ sessionTimeoutMs: 1 } as ConsumerOptions)).toThrow(
      'unknown consumer option',
    );
  });
});

test('a consumer that is closed in the middle of a loop commits what was done and leaves', async () => {
  start();
  append(0, 5);
  const one = consumer();
  const reader = new Reader(one, async ({ offset }) => {
    if (offset === 2) await one.close();
  });
  await until(() => group().members.size === 0 && reader.records.length === 3);
  await harness.run(reader.ended);
  expect([reader.records.length, committed(0)]).toEqual([3, 2]);
});

test('what is revoked by closing may be committed by its listener', async () => {
  start();
  append(0, 5);
  const one = consumer({ enableAutoCommit: false });
  one.subscribe('t', { onRevoked: () => one.commit([{ topic: 't', partition: 0, offset: 4 }]) });
  const reader = new Reader(one, undefined, false);
  await until(() => reader.records.length === 5);
  await harness.run(one.close());
  expect(committed(0)).toBe(4);
  await expect(one.commit()).rejects.toThrow('the consumer is closed');
});

test('closing takes no longer than it may', async () => {
  start();
  const one = new Reader(consumer());
  await until(() => one.consumer.assignment().length === 4);
  harness.cluster.stopBroker(1);
  harness.cluster.stopBroker(2);
  const { time } = harness.environment;
  const begun = time.monotonic();
  await harness.run(one.consumer.close(2_000));
  expect(time.monotonic() - begun).toBeLessThan(2_500);
});

test('a member says what it is', async () => {
  start();
  const seen: v1.ConsumerGroupHeartbeatRequest[] = [];
  harness.cluster.intercept(({ method, message }) => {
    if (method === 'ConsumerGroupHeartbeat') seen.push(message as v1.ConsumerGroupHeartbeatRequest);
    return undefined;
  });
  const options = { clientRack: 'r', groupRemoteAssignor: 'range', groupInstanceId: 'i', maxPollIntervalMs: 7_000 };
  const one = new Reader(consumer(options));
  await until(() => one.consumer.assignment().length === 4);
  expect(seen[0]).toMatchObject({
    ...{ groupId: 'g', rackId: 'r', assignor: 'range', instanceId: 'i', rebalanceTimeoutMs: 7_000 },
    subscription: { topics: ['t'], pattern: '' },
  });
});
