import fc from 'fast-check';
import { CreditWindow } from './credit-window.js';

class Stream {
  outstanding = 0;
  /** Bytes this side has and will release. */
  held = 0;

  grant(bytes: number): void {
    expect(bytes).toBeGreaterThan(0);
    this.outstanding += bytes;
  }
}

test('a lone stream gets the window, and as much again as is released', () => {
  const window = new CreditWindow<Stream>(1_000);
  const stream = new Stream();
  window.add(stream);
  expect(stream.outstanding).toBe(1_000);
  stream.outstanding -= 700;
  window.received(stream, 700);
  window.distribute();
  expect(stream.outstanding).toBe(300);
  window.release(stream, 700);
  expect(stream.outstanding).toBe(1_000);
});

test('an idle stream that holds the window starves no other', () => {
  const window = new CreditWindow<Stream>(1_000);
  const [idle, busy] = [new Stream(), new Stream()];
  window.add(idle);
  window.add(busy);
  expect(idle.outstanding).toBe(1_000);
  for (let message = 0; message < 5; message++) {
    expect(busy.outstanding).toBeGreaterThan(0);
    busy.outstanding -= 400;
    window.received(busy, 400);
    window.distribute();
    expect(busy.outstanding).toBeLessThanOrEqual(0);
    window.release(busy, 400);
  }
});

test('whatever happens, the window is kept but for one message a stream, and nobody starves', () => {
  const message = 300;
  const action = fc.record({
    stream: fc.nat(3),
    kind: fc.constantFrom('receive', 'release', 'remove'),
    part: fc.nat(9),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_000 }), fc.array(action, { maxLength: 80 }), (windowBytes, actions) => {
      const window = new CreditWindow<Stream>(windowBytes);
      const live: Stream[] = [];
      const all: Stream[] = [];
      const open = (): void => {
        const stream = new Stream();
        live.push(stream);
        all.push(stream);
        window.add(stream);
      };
      for (let count = 0; count < 3; count++) open();
      for (const { stream: index, kind, part } of actions) {
        const stream = live[index % live.length];
        if (stream === undefined) continue;
        if (kind === 'receive' && stream.outstanding > 0) {
          const bytes = 1 + (part * message) / 10;
          stream.outstanding -= bytes;
          stream.held += bytes;
          window.received(stream, bytes);
          window.distribute();
        } else if (kind === 'release') {
          const bytes = part === 9 ? stream.held : stream.held / 2;
          stream.held -= bytes;
          window.release(stream, bytes);
        } else if (kind === 'remove' && all.length < 12) {
          live.splice(live.indexOf(stream), 1);
          stream.outstanding = 0;
          window.remove(stream);
          open();
        }
        const held = all.reduce((sum, { held: bytes }) => sum + bytes, 0);
        const granted = live.reduce((sum, { outstanding }) => sum + Math.max(0, outstanding), 0);
        expect(window.unreleased).toBeCloseTo(held, 6);
        expect(held + granted).toBeLessThanOrEqual(windowBytes + all.length * (message + 1));
        for (const other of live) if (other.held === 0) expect(other.outstanding).toBeGreaterThan(0);
      }
    }),
  );
});
