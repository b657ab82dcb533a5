import { BarnabasError } from '@barnabas/protocol';
import type { AppendResult, OutboundBatch } from './outbound.js';
import { PartitionLane } from './partition-lane.js';
import type { LaneFeed, Verdict } from './partition-lane.js';

const APPENDED: AppendResult = { baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0 };
const refused = new BarnabasError('NOT_ENOUGH_REPLICAS', 'not now');
const hopeless = new BarnabasError('INVALID_TIMESTAMP', 'never');
const LEADER = 'leader';

class Batch implements OutboundBatch {
  readonly bytes = Buffer.alloc(10);
  readonly sizeInBytes = 10;
  readonly recordCount = 1;
  attempts = 0;
  ordinal = 0;
  isUncertain = false;
  isSettled = false;
  outcome: AppendResult | BarnabasError | undefined;

  constructor(
    readonly name: string,
    readonly isIdempotent: boolean,
    readonly deadlineMs = 1_000,
  ) {}

  settle(outcome: AppendResult | BarnabasError): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.outcome = outcome;
  }
}

class Feed implements LaneFeed<Batch> {
  isBlocked = false;
  readonly queue: Batch[] = [];
  readonly drainedWith: string[][] = [];
  failures = 0;
  verdict: (batch: Batch, error: BarnabasError, isOldest: boolean) => Verdict<Batch> = (_, error) =>
    error.retriable ? { kind: 'retry' } : { kind: 'fail', error };

  peek() {
    return this.queue[0];
  }

  next(): Batch {
    return this.queue.shift() as Batch;
  }

  judge(batch: Batch, error: BarnabasError, isOldest: boolean): Verdict<Batch> {
    return this.verdict(batch, error, isOldest);
  }

  failed(): void {
    this.failures++;
  }

  accepted(): void {}

  drained(resend: readonly Batch[]): void {
    this.drainedWith.push(resend.map(({ name }) => name));
  }

  expire(): number {
    return Number.POSITIVE_INFINITY;
  }
}

function make(names: string, isIdempotent = true, maxBatches = 5) {
  const feed = new Feed();
  const lane = new PartitionLane<Batch>('t', 0, feed, maxBatches);
  const batches = new Map([...names].map((name) => [name, new Batch(name, isIdempotent)]));
  feed.queue.push(...batches.values());
  const batch = (name: string): Batch => batches.get(name) as Batch;
  /** One request; what went into it. */
  const send = (most = 100): string => {
    const sent: Batch[] = [];
    lane.fill({ fits: () => sent.length < most, add: (_, added) => sent.push(added as Batch) });
    return sent.map(({ name }) => name).join('');
  };
  const settle = (name: string, outcome: AppendResult | BarnabasError): void =>
    lane.settle(batch(name), outcome, LEADER, 500);
  return { feed, lane, batch, send, settle };
}

test('batches go out in order, as many as may be on their way', () => {
  const { send, settle } = make('abcdefgh');
  expect(send(2)).toBe('ab');
  expect(send()).toBe('cde');
  expect(send()).toBe('');
  settle('a', APPENDED);
  expect(send()).toBe('f');
});

test('a batch that is open holds the window, however many after it are settled', () => {
  const { send, settle } = make('abcdefgh');
  send();
  for (const name of 'bcde') settle(name, APPENDED);
  expect(send()).toBe('');
  settle('a', refused);
  expect(send()).toBe('a');
  settle('a', APPENDED);
  expect(send()).toBe('fgh');
});

test('after a failure nothing is sent until all is back, and then in order, whatever order it came back in', () => {
  const { send, settle, lane } = make('abcde', true, 3);
  send();
  settle('c', refused);
  expect(lane.hasWork).toBe(false);
  expect(send()).toBe('');
  settle('a', refused);
  expect(send()).toBe('');
  settle('b', refused);
  expect(send()).toBe('abc');
  for (const name of 'abc') settle(name, APPENDED);
  expect(send()).toBe('de');
});

test('a refusal speaks of a batch alone only when it is the oldest', () => {
  const { feed, send, settle } = make('abc');
  const oldest: string[] = [];
  feed.verdict = (batch, _, isOldest) => {
    if (isOldest) oldest.push(batch.name);
    return { kind: 'retry' };
  };
  send();
  settle('b', refused);
  settle('a', refused);
  settle('c', refused);
  expect(oldest).toEqual(['a']);
});

test('plain batches are on their way in one request only', () => {
  const { send, settle } = make('abcd', false, Number.POSITIVE_INFINITY);
  expect(send(2)).toBe('ab');
  expect(send()).toBe('');
  settle('a', APPENDED);
  expect(send()).toBe('');
  settle('b', APPENDED);
  expect(send()).toBe('cd');
});

test('plain batches that were refused for good together are sent one by one', () => {
  const { send, settle, lane, batch } = make('abc', false, Number.POSITIVE_INFINITY);
  send(2);
  lane.unpack([batch('a'), batch('b')]);
  expect(send()).toBe('a');
  settle('a', hopeless);
  expect(send()).toBe('b');
  settle('b', APPENDED);
  expect(send()).toBe('c');
  expect(batch('a').outcome).toBe(hopeless);
  expect(batch('b').outcome).toBe(APPENDED);
});

test('halves take the place of a batch that was split', () => {
  const { feed, send, settle } = make('abc', true, 3);
  const halves = [new Batch('1', true), new Batch('2', true)];
  send();
  settle('c', refused);
  settle('a', refused);
  feed.verdict = () => ({ kind: 'replace', batches: halves });
  settle('b', hopeless);
  expect(send()).toBe('a12c');
});

test('a half that goes alone and is refused comes before the other half again, and both before what was behind', () => {
  const { feed, lane, send, settle } = make('abc', false);
  const quarters = [new Batch('1', false), new Batch('2', false)];
  const halves = [new Batch('x', false), new Batch('y', false)];
  const say = (batch: Batch | undefined, outcome: AppendResult | BarnabasError): void =>
    lane.settle(batch as Batch, outcome, LEADER, 500);
  expect(send(1)).toBe('a');
  feed.verdict = () => ({ kind: 'replace', batches: halves });
  settle('a', hopeless);
  feed.verdict = () => ({ kind: 'retry' });
  expect(send(1)).toBe('x');
  say(halves[0], refused);
  feed.verdict = () => ({ kind: 'replace', batches: quarters });
  expect(send(1)).toBe('x');
  say(halves[0], hopeless);
  feed.verdict = () => ({ kind: 'retry' });
  expect(send(2)).toBe('12');
  say(quarters[1], refused);
  say(quarters[0], refused);
  expect(send()).toBe('12ybc');
});

test('a pause is waited out with the same leader, and not with another', () => {
  const { lane, send, settle } = make('a');
  send();
  settle('a', refused);
  expect(lane.isPausing(499, LEADER)).toBe(true);
  expect(lane.isPausing(500, LEADER)).toBe(false);
  expect(lane.isPausing(0, 'another')).toBe(false);
});

test('a blocked feed holds back what is to be sent again too', () => {
  const { feed, send, settle } = make('a');
  send();
  settle('a', refused);
  feed.isBlocked = true;
  expect(send()).toBe('');
  feed.isBlocked = false;
  expect(send()).toBe('a');
});

test('the feed hears when nothing is on its way, with what is next', () => {
  const { feed, send, settle } = make('abc');
  send();
  settle('a', APPENDED);
  settle('b', refused);
  settle('c', refused);
  expect(feed.drainedWith).toEqual([['b', 'c']]);
});

test('past its deadline a batch is settled at once, but its lane waits until it is back', () => {
  const { feed, lane, send, settle, batch } = make('ab', true, 1);
  send();
  expect(lane.expire(999)).toBe(1_000);
  lane.expire(1_000);
  expect(batch('a').outcome).toMatchObject({ errorName: 'REQUEST_TIMED_OUT' });
  expect(send()).toBe('');
  expect(feed.failures).toBe(0);
  settle('a', refused);
  expect(feed.failures).toBe(1);
  expect(send()).toBe('b');
});

test('a batch that waits to be sent again expires there', () => {
  const { feed, lane, send, settle, batch } = make('a');
  send();
  settle('a', refused);
  lane.expire(1_000);
  expect(batch('a').outcome).toMatchObject({ errorName: 'REQUEST_TIMED_OUT' });
  expect(batch('a').outcome).toMatchObject({
    message: expect.stringContaining('The last answer was NOT_ENOUGH_REPLICAS: not now') as string,
  });
  expect(feed.failures).toBe(1);
  expect(lane.isIdle).toBe(true);
});

test('a refusal that was got over is no reason for a later time-out', () => {
  const { lane, send, settle, batch } = make('ab', true, 1);
  send();
  settle('a', refused);
  send();
  settle('a', APPENDED);
  send();
  lane.expire(1_000);
  const message = (batch('b').outcome as BarnabasError).message;
  expect(message).toMatch(/^a batch for t-0 was not acknowledged in time\. Whether it was appended is unknown\.$/);
});

test('an answer without a clear meaning marks the batch', () => {
  const { send, settle, batch } = make('ab');
  send();
  settle('a', new BarnabasError('NETWORK_EXCEPTION', 'gone'));
  settle('b', refused);
  expect([batch('a').isUncertain, batch('b').isUncertain]).toEqual([true, false]);
});
