import { BarnabasError } from '@barnabas/protocol';
import type { StreamListener } from '@barnabas/rpc';
import { GatheredStream } from './gathered-stream.js';

/** The stream under it: what was written, and what the other side says. */
class Wire {
  readonly written: number[][] = [];
  readonly said: string[] = [];
  isFull = false;
  listener: StreamListener<{ parts: number[] }> | undefined;
  readonly bufferedBytes = 7;

  handle(listener: StreamListener<{ parts: number[] }>): void {
    this.listener = listener;
  }
  write({ parts }: { parts: number[] }): boolean {
    this.written.push(parts);
    return !this.isFull;
  }
  end(error?: BarnabasError): void {
    this.said.push(`end ${error?.errorName ?? ''}`);
  }
  cancel(): void {
    this.said.push('cancel');
  }
  pause(): void {
    this.said.push('pause');
  }
  resume(): void {
    this.said.push('resume');
  }
}

let wire: Wire;
let stream: GatheredStream<number, number>;
let heard: unknown[];
let onPart: (part: number) => void;

beforeEach(() => {
  wire = new Wire();
  heard = [];
  onPart = () => {};
  stream = new GatheredStream(wire, (bytes: number) => bytes);
  stream.handle({
    onMessage: (part) => {
      heard.push(part);
      onPart(part);
    },
    onDrain: () => heard.push('drain'),
    onEnd: () => heard.push('end'),
    onClose: (error) => heard.push(error?.errorName ?? 'close'),
  });
});

const turn = () => Promise.resolve();

it('puts what is written in one turn into one message, in order', async () => {
  stream.write(1);
  stream.write(2);
  expect(wire.written).toEqual([]);
  expect(stream.bufferedBytes).toBe(10);
  await turn();
  stream.write(3);
  await turn();
  await turn();
  expect(wire.written).toEqual([[1, 2], [3]]);
  expect(stream.bufferedBytes).toBe(7);
});

it('sends at once what is enough for a message, in bytes or in parts', () => {
  stream.write(1);
  stream.write(32 * 1024);
  expect(wire.written).toEqual([[1, 32 * 1024]]);
  for (let i = 0; i < 129; i++) stream.write(0);
  expect(wire.written.map(({ length }) => length)).toEqual([2, 128]);
});

it('takes no part for refused when the stream under it is full, but says so, and when it drains', async () => {
  wire.isFull = true;
  expect(stream.write(1)).toBe(true);
  await turn();
  expect(stream.write(2)).toBe(false);
  wire.isFull = false;
  wire.listener?.onDrain?.();
  expect(heard).toEqual(['drain']);
  expect(stream.write(3)).toBe(true);
  await turn();
  expect(wire.written).toEqual([[1], [2, 3]]);
});

it('hands parts on one by one, and none behind an end of its own', () => {
  onPart = (part) => {
    if (part === 2) stream.end(new BarnabasError('STALE_BROKER_EPOCH', 'another stream'));
  };
  wire.listener?.onMessage({ parts: [1, 2, 3] });
  expect(heard).toEqual([1, 2]);
  expect(wire.said).toEqual(['end STALE_BROKER_EPOCH']);
});

it.each([
  ['a cancel', () => stream.cancel()],
  ['the end of the stream under it', () => wire.listener?.onClose(undefined)],
])('neither delivers nor writes behind %s', async (_, finish) => {
  stream.write(1);
  onPart = () => finish();
  wire.listener?.onMessage({ parts: [1, 2] });
  stream.write(2);
  await turn();
  expect(heard.filter((one) => typeof one === 'number')).toEqual([1]);
  expect(wire.written).toEqual([]);
});

it('sends what was written before it ends', () => {
  stream.write(1);
  stream.end();
  expect(wire.written).toEqual([[1]]);
  expect(wire.said).toEqual(['end ']);
});
