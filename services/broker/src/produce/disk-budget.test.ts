import fc from 'fast-check';
import { DiskBudget } from './disk-budget.js';
import type { Pausable, StreamBudget } from './disk-budget.js';

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

describe('the disk budget', () => {
  it('pauses one stream beyond its share, and resumes it at half', () => {
    const budget = new DiskBudget(1000, 100);
    const [greedy, modest] = [new Stream(), new Stream()];
    const share = budget.stream(greedy);
    budget.stream(modest);
    share.take(101);
    expect([greedy.paused, modest.paused]).toEqual([true, false]);
    share.give(50);
    expect(greedy.paused).toBe(true);
    share.give(1);
    expect(greedy.paused).toBe(false);
  });

  it('pauses every stream when the broker is beyond its share, also one that comes then', () => {
    const budget = new DiskBudget(100, 1000);
    const early = new Stream();
    budget.stream(early);
    budget.take(101);
    const late = new Stream();
    const share = budget.stream(late);
    expect([early.paused, late.paused]).toEqual([true, true]);
    share.close();
    budget.give(51);
    expect(early.paused).toBe(false);
  });

  it('lets unary calls wait in line, in order, and refuses what the line has no room for', async () => {
    const budget = new DiskBudget(100, 100);
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

  it('leaves no stream paused and nobody in line once everything is written', async () => {
    const step = fc.record({ stream: fc.nat(2), bytes: fc.integer({ min: 1, max: 80 }), take: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 100 }), async (steps) => {
        const budget = new DiskBudget(200, 100);
        const streams = [new Stream(), new Stream(), new Stream()];
        const shares = streams.map((stream) => budget.stream(stream));
        const held: { share: StreamBudget; bytes: number }[] = [];
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
