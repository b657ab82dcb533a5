import { VirtualTime } from '@barnabas/common';
import { LeaderThrottle, TokenBucket } from './throttle.js';
import { ThrottledCredit } from './throttled-credit.js';

const time = () => new VirtualTime();
const behind = { topic: 'orders', partition: 0, isr: [1] };

describe('a token bucket', () => {
  it('gives its rate, at most a second of it at once, and takes back what was overdrawn', () => {
    const clock = time();
    const bucket = new TokenBucket(() => 100, clock);
    expect(bucket.tokens).toBe(100);
    bucket.take(150);
    expect([bucket.tokens, bucket.waitMs]).toEqual([-50, 510]);
    clock.advance(510);
    expect(bucket.tokens).toBeGreaterThan(0);
    clock.advance(60_000);
    expect(bucket.tokens).toBe(100);
  });

  it('without a rate is no limit, and follows a rate that is set while it runs', () => {
    const clock = time();
    let rate = Infinity;
    const bucket = new TokenBucket(() => rate, clock);
    bucket.take(1e12);
    expect([bucket.tokens, bucket.waitMs]).toEqual([Infinity, 0]);
    rate = 10;
    bucket.take(20);
    expect(bucket.tokens).toBe(-10);
  });
});

describe('the throttle of a leader', () => {
  const rules = { rate: () => 1000, names: (_topic: string, partition: number) => partition === 0 };

  it('holds back who catches up and is named, and says when it has room', () => {
    const clock = time();
    const throttle = new LeaderThrottle(rules, clock, clock);
    let opened = 0;
    const waiting = { throttleOpened: () => void (opened += 1) };
    expect(throttle.admits(behind, 2, waiting)).toBe(true);
    throttle.sent(behind, 2, 3000);
    expect(throttle.admits(behind, 2, waiting)).toBe(false);
    expect(throttle.admits(behind, 3, waiting)).toBe(false);
    clock.advance(1000);
    expect(opened).toBe(0);
    clock.advance(1100);
    expect(opened).toBe(1);
    expect(throttle.admits(behind, 2, waiting)).toBe(true);
    throttle.stop();
  });

  it('never holds back a replica in sync, nor one that is not named, and counts neither', () => {
    const clock = time();
    const throttle = new LeaderThrottle(rules, clock, clock);
    const waiting = { throttleOpened: () => {} };
    const inSync = { ...behind, isr: [1, 2] };
    throttle.sent(inSync, 2, 1e9);
    throttle.sent({ ...behind, partition: 1 }, 2, 1e9);
    expect(throttle.admits(behind, 2, waiting)).toBe(true);
    throttle.sent(behind, 2, 1e9);
    expect(throttle.admits(inSync, 2, waiting)).toBe(true);
    expect(throttle.admits({ ...behind, partition: 1 }, 2, waiting)).toBe(true);
    throttle.stop();
  });
});

describe('the credit of a follower that is throttled', () => {
  it('comes at the rate of the broker, over all leaders, and only while something is throttled', () => {
    const clock = time();
    const bucket = new TokenBucket(() => 1000, clock);
    const granted = [0, 0];
    const credits = granted.map(
      (_, link) =>
        new ThrottledCredit(bucket, 10_000, clock, (bytes) => void (granted[link] = (granted[link] ?? 0) + bytes)),
    );
    for (const credit of credits) credit.begin();
    clock.advance(500);
    expect(granted).toEqual([0, 0]);
    credits[0]?.concerns(1);
    credits[1]?.concerns(2);
    expect(granted).toEqual([1000, 0]);
    for (let n = 0; n < 20; n++) clock.advance(50);
    expect((granted[0] ?? 0) + (granted[1] ?? 0)).toBe(2000);
    for (const credit of credits) credit.end();
    clock.advance(1000);
    expect((granted[0] ?? 0) + (granted[1] ?? 0)).toBe(2000);
  });

  it('is never more than the window', () => {
    const clock = time();
    let granted = 0;
    const bucket = new TokenBucket(() => 1e9, clock);
    const credit = new ThrottledCredit(bucket, 5000, clock, (bytes) => void (granted += bytes));
    credit.begin();
    credit.concerns(1);
    clock.advance(10_000);
    expect(granted).toBe(5000);
    credit.released(1200);
    expect(granted).toBe(6200);
    credit.end();
  });
});
