import fc from 'fast-check';
import { ByteBudget } from './byte-budget.js';
import type { Pausable, StreamShare } from './byte-budget.js';

class Stream implements Pausable {
  paused = false;
  pause(): void {
    expect(this.paused).toBe(false);
    this.paused = true;
  }
  resume(): void {
    expect(this.paused).toBe(true);
    this.paused = false;
  }
}

describe('the byte budget', () => {
  it('pauses one stream beyond its share, and resumes it at half', () => {
    const budget = new ByteBudget(1000, 100);
    const [greedy, modest] = [new Stream(), new Stream()];
    const share = budget.stream(greedy);
    budget.stream(modest);
    for (const bytes of [50, 50, 1]) share.take(bytes);
    expect([greedy.paused, modest.paused]).toEqual([true, false]);
    share.give(50);
    expect(greedy.paused).toBe(true);
    share.give(1);
    expect(greedy.paused).toBe(false);
  });

  it('pauses every stream when the role is beyond its share, also one that comes then', () => {
    const budget = new ByteBudget(100, 1000);
    const early = new Stream();
    budget.stream(early);
    for (const bytes of [50, 51]) budget.take(bytes);
    const late = new Stream();
    const share = budget.stream(late);
    expect([early.paused, late.paused]).toEqual([true, true]);
    share.close();
    budget.give(51);
    expect(early.paused).toBe(false);
  });

  it('lets unary calls wait in line, in order, and refuses what the line has no room for', async () => {
    const budget = new ByteBudget(100, 100);
    expect(budget.admit(1_000)).toBeUndefined();
    budget.take(101);
    const entered: number[] = [];
    const waiting = [60, 40].map((bytes, index) =>
      Promise.resolve(budget.admit(bytes)).then(() => entered.push(index)),
    );
    expect(() => budget.admit(1)).toThrow(expect.objectContaining({ errorName: 'THROTTLING_QUOTA_EXCEEDED' }));
    budget.give(101);
    await Promise.all(waiting);
    expect(entered).toEqual([0, 1]);
    expect(budget.admit(1)).toBeUndefined();
  });

  it('refuses at once the unary call that is not to wait, also while others are in line', async () => {
    const budget = new ByteBudget(100, 100);
    budget.take(100);
    expect(() => budget.admitNow()).not.toThrow();
    budget.take(1);
    const refused = expect.objectContaining({
      errorName: 'THROTTLING_QUOTA_EXCEEDED',
      message: expect.stringContaining('queued.max.request.bytes') as string,
    }) as Error;
    expect(() => budget.admitNow()).toThrow(refused);
    const waiting = [100, 0].map((bytes) => Promise.resolve(budget.admit(bytes)));
    budget.give(100);
    // All the room went to the first in line: the second is still there.
    expect(budget.isFull).toBe(false);
    expect(() => budget.admitNow()).toThrow(refused);
    budget.give(1);
    await Promise.all(waiting);
    expect(() => budget.admitNow()).not.toThrow();
  });

  it('tells once when all is given back, of requests that weigh nothing too', () => {
    const budget = new ByteBudget(100, 100);
    let told = 0;
    budget.whenEmpty(() => (told += 1));
    expect(told).toBe(1);
    const share = budget.stream(new Stream());
    share.take(0);
    budget.take(10);
    budget.whenEmpty(() => (told += 1));
    budget.give(10);
    expect(told).toBe(1);
    share.give(0);
    expect(told).toBe(2);
    budget.take(1);
    budget.give(1);
    expect(told).toBe(2);
  });

  it('does not tell who no longer wants to know', () => {
    const budget = new ByteBudget(100, 100);
    budget.take(1);
    const stop = budget.whenEmpty(() => {
      throw new Error('was told');
    });
    stop();
    budget.give(1);
    expect(budget.usedBytes).toBe(0);
  });

  it('finds out when more is given back than was taken (B1)', () => {
    const budget = new ByteBudget(100, 100);
    budget.take(2);
    expect(() => budget.give(3)).toThrow('B1');
    const weightless = new ByteBudget(100, 100);
    weightless.take(0);
    weightless.give(0);
    expect(() => weightless.give(0)).toThrow('B1');
  });

  it('leaves no stream paused and nobody in line once everything is given back', async () => {
    const step = fc.record({ stream: fc.nat(2), bytes: fc.integer({ min: 1, max: 80 }), take: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 100 }), async (steps) => {
        const budget = new ByteBudget(200, 100);
        const streams = [new Stream(), new Stream(), new Stream()];
        const shares = streams.map((stream) => budget.stream(stream));
        const held: { share: StreamShare; bytes: number }[] = [];
        const line: Promise<void>[] = [];
        let sum = 0;
        for (const { stream, bytes, take } of steps) {
          const share = shares[stream];
          if (share === undefined) throw new Error('three streams');
          const oldest = take ? undefined : held.shift();
          if (take && streams[stream]?.paused === false) {
            share.take(bytes);
            held.push({ share, bytes });
            sum += bytes;
          } else if (oldest !== undefined) {
            oldest.share.give(oldest.bytes);
            sum -= oldest.bytes;
          } else if (bytes < 5) {
            const wait = budget.admit(bytes);
            if (wait !== undefined) line.push(wait);
          }
          expect(budget.usedBytes).toBe(sum);
          // One step beyond the limit at most: then nobody is read from.
          expect(sum).toBeLessThanOrEqual(200 + 80);
        }
        for (const { share, bytes } of held) share.give(bytes);
        expect(streams.map((stream) => stream.paused)).toEqual([false, false, false]);
        expect(budget.usedBytes).toBe(0);
        await Promise.all(line);
      }),
      { numRuns: 200 },
    );
  });
});
