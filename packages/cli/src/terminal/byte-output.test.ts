import { PassThrough, Writable } from 'node:stream';
import fc from 'fast-check';
import { ByteOutput } from './byte-output.js';

/** Remembers what was written; takes it only when told to. */
class SlowWritable extends Writable {
  readonly written: Buffer[] = [];
  #pending: (() => void)[] = [];

  constructor(
    private readonly isSlow: boolean,
    highWaterMark = 16,
  ) {
    super({ highWaterMark });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const take = () => {
      this.written.push(Buffer.from(chunk));
      done();
    };
    // As late as a stream may: what it was given must still be there.
    if (this.isSlow) this.#pending.push(take);
    else take();
  }

  release(): void {
    for (const take of this.#pending.splice(0)) take();
  }
}

test('everything arrives, in order, whatever the sizes of the pieces', async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 50 }),
    fc.string({ unit: 'grapheme', maxLength: 50 }),
    fc.integer({ min: 60_000, max: 140_000 }).map((size) => new Uint8Array(size).fill(size)),
    fc.integer({ min: 20_000, max: 70_000 }).map((size) => 'é'.repeat(size)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece), async (pieces) => {
      const stream = new SlowWritable(false);
      const output = new ByteOutput(stream);
      for (const value of pieces) {
        if (typeof value === 'string') output.text(value);
        else {
          output.bytes(value);
        }
      }
      await output.flush();
      const expected = Buffer.concat(pieces.map((value) => Buffer.from(value as string)));
      expect(Buffer.concat(stream.written).equals(expected)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

async function takeAll(output: ByteOutput, stream: SlowWritable): Promise<Buffer> {
  let flushed = false;
  void output.flush().then(() => {
    flushed = true;
  });
  while (!flushed) {
    stream.release();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return Buffer.concat(stream.written);
}

test.each([10, 100_000])('the giver may use its memory again at once, for %d bytes', async (size) => {
  const stream = new SlowWritable(true, 1);
  const output = new ByteOutput(stream);
  const value = Buffer.alloc(size, 'a');
  output.bytes(value);
  value.fill('b');
  output.line('');
  expect((await takeAll(output, stream)).toString()).toBe(`${'a'.repeat(size)}\n`);
});

test('what the stream still holds is not written over by what comes next', async () => {
  const stream = new SlowWritable(true);
  const output = new ByteOutput(stream);
  const lines = Array.from({ length: 30_000 }, (_, index) => `line ${index}`);
  for (const line of lines) output.line(line);
  expect((await takeAll(output, stream)).toString()).toBe(`${lines.join('\n')}\n`);
});

test('small pieces are gathered into few writes', async () => {
  const stream = new SlowWritable(false);
  const output = new ByteOutput(stream);
  for (let index = 0; index < 10_000; index++) output.line('ten bytes');
  await output.flush();
  expect(stream.written.length).toBeLessThan(5);
});

test('a slow reader is waited for', async () => {
  const stream = new SlowWritable(true);
  const output = new ByteOutput(stream);
  output.bytes(Buffer.alloc(100_000));
  expect(output.full).toBe(true);
  let drained = false;
  const waiting = output.drained().then(() => {
    drained = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(drained).toBe(false);
  stream.release();
  await waiting;
  expect(output.full).toBe(false);
});

test('a reader that goes away is no error, and ends waiting', async () => {
  const stream = new SlowWritable(true);
  const output = new ByteOutput(stream);
  output.bytes(Buffer.alloc(100_000));
  const waiting = output.drained();
  stream.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  await waiting;
  expect(output.closed.aborted).toBe(true);
  output.line('nobody hears this');
  await output.flush();
});

test('a disk that is full is an error', async () => {
  const stream = new PassThrough();
  const output = new ByteOutput(stream);
  output.line('x');
  stream.destroy(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }));
  await expect(output.flush()).rejects.toThrow('ENOSPC');
});
