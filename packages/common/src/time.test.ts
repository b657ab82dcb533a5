import fc from 'fast-check';
import { VirtualTime } from './time.js';

describe('VirtualTime', () => {
  it('stands still until it is moved', () => {
    const time = new VirtualTime(1000);
    const fired: string[] = [];
    time.after(0, () => fired.push('at once'));
    expect([time.now(), time.monotonic(), fired]).toEqual([1000, 0, []]);
    time.advance(0);
    expect(fired).toEqual(['at once']);
  });

  it('runs timers that timers set, within the same move, each at its own time', () => {
    const time = new VirtualTime();
    const seen: number[] = [];
    const again = () => {
      seen.push(time.monotonic());
      if (seen.length < 4) time.after(10, again);
    };
    time.after(5, again);
    time.advance(100);
    expect(seen).toEqual([5, 15, 25, 35]);
    expect(time.monotonic()).toBe(100);
  });

  it('runs what is due in order of deadline then of creation, and nothing that was cancelled', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ delay: fc.nat(20), cancelled: fc.boolean() })), fc.nat(25), (plan, by) => {
        const time = new VirtualTime();
        const ran: number[] = [];
        const timers = plan.map(({ delay }, index) => time.after(delay, () => ran.push(index)));
        plan.forEach(({ cancelled }, index) => {
          if (cancelled) timers[index]?.cancel();
        });
        time.advance(by);
        const expected = plan
          .map((entry, index) => ({ ...entry, index }))
          .filter(({ delay, cancelled }) => !cancelled && delay <= by)
          .sort((a, b) => a.delay - b.delay || a.index - b.index)
          .map(({ index }) => index);
        expect(ran).toEqual(expected);
      }),
    );
  });
});
