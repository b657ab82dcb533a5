import fc from 'fast-check';
import { LineSplitter, LineTooLongError } from './line-splitter.js';

function splitAll(chunks: readonly Buffer[], maxLineBytes = 1 << 20): Buffer[] {
  const splitter = new LineSplitter(maxLineBytes);
  const lines: Buffer[] = [];
  for (const chunk of chunks) lines.push(...splitter.push(chunk));
  const last = splitter.end();
  if (last !== undefined) lines.push(last);
  expect(splitter.lines).toBe(lines.length);
  return lines;
}

/** Any bytes, newlines often. */
const arbitraryInput = fc
  .array(fc.oneof(fc.constant(0x0a), fc.integer({ min: 0, max: 255 })), { maxLength: 300 })
  .map((bytes) => Buffer.from(bytes));

test('however the input is cut into chunks, the lines are the same and lose no byte', () => {
  fc.assert(
    fc.property(arbitraryInput, fc.array(fc.nat(300)), (input, cuts) => {
      const places = [0, ...cuts.map((cut) => Math.min(cut, input.length)), input.length].sort((a, b) => a - b);
      const chunks = places.slice(1).map((place, index) => Buffer.from(input.subarray(places[index], place)));
      const lines = splitAll(chunks);

      // What the lines must be, by the definition: bytes between newlines, nothing after a final one.
      const text = input.toString('latin1');
      const expected = text === '' ? [] : (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
      expect(lines.map((line) => line.toString('latin1'))).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test('a carriage return belongs to the line', () => {
  expect(splitAll([Buffer.from('a\r'), Buffer.from('\nb')]).map(String)).toEqual(['a\r', 'b']);
});

test('a line may be as long as the limit and not longer, wherever chunks end', () => {
  for (const cut of [0, 1, 3, 4]) {
    const input = Buffer.from('abcd\n');
    expect(splitAll([input.subarray(0, cut), input.subarray(cut)], 4)).toHaveLength(1);
    expect(() => splitAll([input.subarray(0, cut), input.subarray(cut)], 3)).toThrow(LineTooLongError);
  }
  expect(() => splitAll([Buffer.from('x\n'), Buffer.alloc(10, 0x61)], 9)).toThrow('line 2 is longer than 9 bytes');
});
