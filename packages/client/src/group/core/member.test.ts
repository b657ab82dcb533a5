/** A member by itself: what it says, and what it makes of answers. docs/protocols/groups.md, sections 4 and 6. */
import { BarnabasError } from '@barnabas/protocol';
import type { ErrorName } from '@barnabas/protocol';
import type { GroupTopicPartition } from '../group-types.js';
import { Member } from './member.js';
import type { Answer, MemberEffect, MemberSettings } from './member-rules.js';

const INTERVAL = 5_000;
const REBALANCE = 60_000;

function partition(number: number, topicId = 'id'): GroupTopicPartition {
  return { topic: 't', topicId, partition: number };
}

class Script {
  now = 0;
  readonly member: Member;
  effects: MemberEffect[] = [];

  constructor(settings: Partial<MemberSettings> = {}) {
    let ids = 0;
    this.member = new Member({
      instanceId: '',
      rebalanceTimeoutMs: REBALANCE,
      subscription: { topics: ['t'], pattern: '' },
      isResumable: false,
      resume: undefined,
      newMemberId: () => `m${++ids}`,
      ...settings,
    });
  }

  start(): this {
    this.member.start(this.now);
    return this;
  }

  /** Effects since the last call. */
  take(): MemberEffect[] {
    return this.member.takeEffects();
  }

  kinds(): string[] {
    return this.take().map(({ kind }) => kind);
  }

  /** The heartbeat that is sent now, everything else passed over. */
  sent() {
    const sent = this.take().filter((effect) => effect.kind === 'send');
    expect(sent).toHaveLength(1);
    return sent[0] as Extract<MemberEffect, { kind: 'send' }>;
  }

  answer(id: number, change: Partial<Answer> = {}): void {
    const answer = { memberEpoch: 1, heartbeatIntervalMs: INTERVAL, sessionTimeoutMs: 45_000, assignment: undefined };
    this.member.answered(id, { ...answer, ...change }, this.now);
  }

  assign(id: number, version: number, partitions: readonly GroupTopicPartition[], memberEpoch = 1): void {
    this.answer(id, { memberEpoch, assignment: { version, partitions } });
  }

  fail(id: number, name: ErrorName): void {
    this.member.failed(id, new BarnabasError(name, 'refused'), this.now);
  }

  /** Joined, with these. Returns the id of the heartbeat that waits now. */
  joined(partitions: readonly GroupTopicPartition[]): number {
    const { id } = this.start().sent();
    this.assign(id, 1, partitions);
    return this.sent().id;
  }
}

function named(effects: readonly MemberEffect[], kind: MemberEffect['kind']): MemberEffect | undefined {
  return effects.find((effect) => effect.kind === kind);
}

test('joins with epoch 0 and all that it is, and owns what it is given', () => {
  const script = new Script().start();
  const { id, heartbeat } = script.sent();
  expect(heartbeat).toMatchObject({ kind: 'join', memberId: 'm1', memberEpoch: 0, incarnation: 1, describes: true });
  expect(heartbeat).toMatchObject({ subscription: { topics: ['t'], pattern: '' }, owned: undefined, maxWaitMs: 0 });
  script.assign(id, 3, [partition(0), partition(1)], 7);
  const effects = script.take();
  expect(effects.map(({ kind }) => kind)).toEqual(['joined', 'assigned', 'send']);
  expect(named(effects, 'assigned')).toMatchObject({ partitions: [partition(0), partition(1)] });
  expect(named(effects, 'send')).toMatchObject({
    heartbeat: {
      ...{ kind: 'wait', memberEpoch: 7, describes: false, subscription: undefined, maxWaitMs: INTERVAL },
      owned: { appliedVersion: 3, partitions: [partition(0), partition(1)] },
    },
  });
});

test('a heartbeat that only waits is broken off when there is something to say, one that says something is not', () => {
  const script = new Script();
  const waiting = script.joined([partition(0)]);
  script.member.subscribe({ topics: ['t', 'u'], pattern: '' }, 1);
  const effects = script.take();
  expect(effects[0]).toEqual({ kind: 'cancel', id: waiting });
  expect(effects[1]).toMatchObject({ heartbeat: { kind: 'say', maxWaitMs: 0, subscription: { topics: ['t', 'u'] } } });
  script.member.enforceRebalance(2);
  expect(script.kinds()).toEqual([]);
  script.answer((effects[1] as { id: number }).id);
  const next = script.sent();
  expect(next.heartbeat).toMatchObject({ kind: 'say', enforceRebalance: true, subscription: undefined });
  script.answer(next.id);
  expect(script.sent().heartbeat).toMatchObject({ kind: 'wait', enforceRebalance: false });
});

test('a coordinator that does not hold heartbeats is asked once an interval', () => {
  const script = new Script();
  const waiting = script.joined([]);
  script.answer(waiting);
  expect(script.kinds()).toEqual([]);
  expect(script.member.nextDeadlineMs).toBe(INTERVAL);
  script.member.tick(INTERVAL - 1);
  expect(script.kinds()).toEqual([]);
  script.member.tick(INTERVAL);
  expect(script.sent().heartbeat.kind).toBe('wait');
});

test('what is taken away is reported as owned until it is released', () => {
  const script = new Script();
  const waiting = script.joined([partition(0), partition(1)]);
  script.assign(waiting, 2, [partition(0)]);
  const effects = script.take();
  expect(named(effects, 'revoked')).toEqual({ kind: 'revoked', partitions: [partition(1)], graceMs: REBALANCE * 0.9 });
  expect(named(effects, 'send')).toMatchObject({
    heartbeat: { owned: { appliedVersion: 2, partitions: [partition(0), partition(1)] } },
  });
  script.member.released([{ topic: 't', partition: 1 }], 10);
  expect(script.sent().heartbeat).toMatchObject({
    kind: 'say',
    owned: { appliedVersion: 2, partitions: [partition(0)] },
  });
});

test('what is not released is given up when the grace is over', () => {
  const script = new Script();
  script.assign(script.joined([partition(0)]), 2, []);
  script.take();
  const overMs = REBALANCE * 0.9;
  script.member.tick(overMs - 1);
  expect(script.kinds()).not.toContain('cancel');
  expect(script.member.nextDeadlineMs).toBeLessThanOrEqual(overMs);
  script.member.tick(overMs);
  expect(script.sent().heartbeat).toMatchObject({ kind: 'say', owned: { partitions: [] } });
});

test('only partitions that are being given up can be released', () => {
  const script = new Script();
  script.joined([partition(0)]);
  script.member.released([{ topic: 't', partition: 0 }], 10);
  expect(script.kinds()).toEqual([]);
  expect(script.member.owns(partition(0))).toBe(true);
});

test('a topic made anew is given when the old one of its name is released, and reported from the beginning', () => {
  const script = new Script();
  script.assign(script.joined([partition(0, 'old')]), 2, [partition(0, 'new')]);
  const effects = script.take();
  expect(named(effects, 'assigned')).toBeUndefined();
  expect(named(effects, 'send')).toMatchObject({
    heartbeat: { owned: { partitions: [partition(0, 'new'), partition(0, 'old')] } },
  });
  script.member.released([{ topic: 't', partition: 0 }], 5);
  expect(named(script.take(), 'assigned')).toMatchObject({ partitions: [partition(0, 'new')] });
});

test.each<ErrorName>(['FENCED_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID'])(
  '%s: everything is lost, and the member begins anew with a higher incarnation',
  (name) => {
    const script = new Script();
    const waiting = script.joined([partition(0)]);
    script.fail(waiting, name);
    const effects = script.take();
    expect(effects.map(({ kind }) => kind)).toEqual(['lost', 'send']);
    expect(effects[0]).toMatchObject({ partitions: [partition(0)], error: { errorName: name } });
    expect(effects[1]).toMatchObject({
      heartbeat: { kind: 'join', memberId: 'm1', memberEpoch: 0, incarnation: 2, subscription: { topics: ['t'] } },
    });
    script.assign((effects[1] as { id: number }).id, 1, [partition(0)]);
    expect(script.kinds()).toEqual(['joined', 'assigned', 'send']);
  },
);

test('fenced again and again it takes its time', () => {
  const script = new Script();
  script.fail(script.joined([]), 'UNKNOWN_MEMBER_ID');
  script.fail(script.sent().id, 'FENCED_MEMBER_EPOCH');
  expect(script.kinds()).toEqual(['lost']);
  script.member.tick(script.member.nextDeadlineMs);
  expect(script.sent().heartbeat).toMatchObject({ kind: 'join', incarnation: 3 });
});

test('the answer to a heartbeat that is not waited for changes nothing', () => {
  const script = new Script();
  const waiting = script.joined([partition(0)]);
  script.member.ask(1);
  script.take();
  script.assign(waiting, 9, []);
  script.fail(waiting, 'FENCED_MEMBER_EPOCH');
  expect(script.kinds()).toEqual([]);
  expect(script.member.owns(partition(0))).toBe(true);
});

test('every epoch that it moves to is told', () => {
  const script = new Script();
  const waiting = script.joined([partition(0)]);
  script.answer(waiting, { memberEpoch: 2 });
  expect(script.kinds()).toEqual(['moved', 'send']);
  expect(script.member.identity.memberEpoch).toBe(2);
});

test('what may pass is tried again after a pause', () => {
  const script = new Script();
  const waiting = script.joined([]);
  script.fail(waiting, 'COORDINATOR_NOT_AVAILABLE');
  expect(script.kinds()).toEqual([]);
  script.member.tick(script.member.nextDeadlineMs);
  expect(script.sent().heartbeat.kind).toBe('wait');
});

describe('static members', () => {
  test('leave for a moment', () => {
    const script = new Script({ instanceId: 'i' });
    script.joined([partition(0)]);
    script.member.leave(1);
    const effects = script.take();
    expect(effects.map(({ kind }) => kind)).toEqual(['cancel', 'send']);
    expect(effects[1]).toMatchObject({ heartbeat: { kind: 'leave', memberEpoch: -2, owned: undefined } });
  });

  test('wait for the session of whoever has the instance id, and not for ever', () => {
    const script = new Script({ instanceId: 'i' }).start();
    script.fail(script.sent().id, 'UNRELEASED_INSTANCE_ID');
    expect(script.kinds()).toEqual(['waiting']);
    while (script.now < REBALANCE) {
      script.now = script.member.nextDeadlineMs;
      script.member.tick(script.now);
      const { id, heartbeat } = script.sent();
      expect(heartbeat).toMatchObject({ kind: 'join', memberId: 'm1', incarnation: 1 });
      script.fail(id, 'UNRELEASED_INSTANCE_ID');
    }
    expect(script.kinds()).toEqual(['fatal']);
    expect(script.member.isOver).toBe(true);
  });

  test('that leave while they wait for the instance id say no good-bye', () => {
    const script = new Script({ instanceId: 'i' }).start();
    script.fail(script.sent().id, 'UNRELEASED_INSTANCE_ID');
    script.take();
    script.member.leave(script.now);
    expect(script.kinds()).toEqual(['left']);
  });

  test('whose place another has taken are over and say no good-bye', () => {
    const script = new Script({ instanceId: 'i' });
    script.fail(script.joined([partition(0)]), 'FENCED_INSTANCE_ID');
    expect(script.kinds()).toEqual(['fatal']);
  });
});

test('a final refusal ends the membership, and the group is told', () => {
  const script = new Script();
  script.fail(script.joined([partition(0)]), 'INVALID_REGULAR_EXPRESSION');
  const effects = script.take();
  expect(effects.map(({ kind }) => kind)).toEqual(['farewell', 'fatal']);
  expect(effects[0]).toMatchObject({ heartbeat: { memberEpoch: -1 } });
  script.member.tick(1_000_000);
  expect(script.kinds()).toEqual([]);
});

describe('leaving', () => {
  test('is over when the coordinator knows, or does not know the member', () => {
    for (const end of [
      (script: Script, id: number) => script.answer(id),
      (script: Script, id: number) => script.fail(id, 'UNKNOWN_MEMBER_ID'),
    ]) {
      const script = new Script();
      script.joined([partition(0)]);
      script.member.leave(1);
      const { id, heartbeat } = script.sent();
      expect(heartbeat).toMatchObject({ memberEpoch: -1 });
      end(script, id);
      expect(script.take()).toEqual([{ kind: 'left', error: undefined }]);
    }
  });

  test('also while a join may be on its way, but not where nobody has heard of the member', () => {
    const joining = new Script().start();
    joining.member.leave(1);
    expect(joining.kinds()).toEqual(['send', 'cancel', 'send']);
    const idle = new Script();
    idle.member.leave(1);
    expect(idle.kinds()).toEqual(['left']);
  });
});

describe('a membership that is resumed', () => {
  const resume = { memberId: 'known', memberEpoch: 4, incarnation: 3, owned: [partition(0), partition(1)] };

  test('goes on in the incarnation given, owning what it owned, at a version that nobody has', () => {
    const script = new Script({ resume }).start();
    const { id, heartbeat } = script.sent();
    expect(heartbeat).toMatchObject({
      ...{ kind: 'say', memberId: 'known', memberEpoch: 4, incarnation: 3, describes: true },
      owned: { appliedVersion: -1, partitions: [partition(0), partition(1)] },
    });
    script.assign(id, 6, [partition(1), partition(2)], 4);
    const effects = script.take();
    expect(effects.map(({ kind }) => kind)).toEqual(['joined', 'revoked', 'assigned', 'send']);
    expect(named(effects, 'revoked')).toMatchObject({ partitions: [partition(0)] });
    expect(named(effects, 'assigned')).toMatchObject({ partitions: [partition(1), partition(2)] });
  });

  test('by names alone keeps what is still its own', () => {
    const owned = [partition(0, ''), partition(1, '')];
    const script = new Script({ resume: { ...resume, owned } }).start();
    script.assign(script.sent().id, 6, [partition(1)], 4);
    const effects = script.take();
    expect(named(effects, 'assigned')).toMatchObject({ partitions: [partition(1)] });
    expect(named(effects, 'revoked')).toMatchObject({ partitions: [partition(0, '')] });
  });

  test('that somebody else has taken up takes another id, and frees the place if nobody has', () => {
    const script = new Script({ resume, isResumable: true }).start();
    script.fail(script.sent().id, 'FENCED_MEMBER_EPOCH');
    const effects = script.take();
    expect(effects.map(({ kind }) => kind)).toEqual(['lost', 'farewell', 'send']);
    expect(effects[1]).toMatchObject({ heartbeat: { memberId: 'known', incarnation: 3, memberEpoch: -1 } });
    expect(effects[2]).toMatchObject({ heartbeat: { kind: 'join', memberId: 'm1', incarnation: 1 } });
  });

  test('is over where it is static: another id would not get its place', () => {
    const script = new Script({ resume, isResumable: true, instanceId: 'i' }).start();
    script.fail(script.sent().id, 'FENCED_MEMBER_EPOCH');
    expect(script.kinds()).toEqual(['lost', 'fatal']);
  });
});
