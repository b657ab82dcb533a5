import { differences, KeyedDigest, WholeDigest } from './digests';
import type { Digest } from './digests';

function digestOf(make: () => Digest, chunks: readonly string[]) {
  const digest = make();
  for (const chunk of chunks) digest.add(Buffer.from(chunk));
  return digest.finish();
}

const whole = (...chunks: string[]) => digestOf(() => new WholeDigest(), chunks);
const keyed = (...chunks: string[]) => digestOf(() => new KeyedDigest(), chunks);

describe('the comparison of what was sent and what came back', () => {
  it('does not mind how a stream is cut', () => {
    expect(differences(whole('a\nbc\n'), whole('a\nb', 'c', '\n'))).toEqual([]);
    expect(differences(keyed('k|a\nl|bc\n'), keyed('k', '|a\nl|b', 'c', '\n'))).toEqual([]);
  });

  it('does not mind how the lines of different keys lie between each other', () =>
    expect(differences(keyed('k|1\nl|1\nk|2\n'), keyed('l|1\nk|1\nk|2\n'))).toEqual([]));

  it.each([
    ['lines of a key in another order', ['k|1\nk|2\n'], ['k|2\nk|1\n']],
    ['a line that is missing', ['k|1\nk|2\n'], ['k|1\n']],
    ['a line that is there twice', ['k|1\n'], ['k|1\nk|1\n']],
    ['a line under another key', ['k|1\nl|2\n'], ['k|1\nk|2\nl|2\n']],
  ])('finds %s', (_, sent, received) => {
    expect(differences(keyed(...sent), keyed(...received))).toHaveLength(1);
    expect(differences(whole(...sent), whole(...received))).toHaveLength(1);
  });

  it('finds a key that nobody sent', () =>
    expect(differences(keyed('k|1\n'), keyed('k|1\nx|1\n'))).toEqual(['x: received and never sent']));

  it('refuses a stream that ends in the middle of a line', () =>
    expect(() => keyed('k|1\nk|2')).toThrow('the last line has no end'));
});
