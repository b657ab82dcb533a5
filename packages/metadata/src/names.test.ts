import { SeededRandom } from '@barnabas/common';
import fc from 'fast-check';
import { collisionKey, isInternalTopic, topicNameProblem } from './topic-name.js';
import { isUuid, randomUuid } from './uuid.js';

test.each(['a', 'A.b_c-9', 'x'.repeat(249), '...', '__consumer_offsets'])('%s is a legal name', (name) => {
  expect(topicNameProblem(name)).toBeUndefined();
});

test.each([
  ['', /must not be empty/],
  ['.', /must not be named "\."/],
  ['..', /must not be named "\.\."/],
  ['x'.repeat(250), /250 characters; at most 249/],
  ['a b', /a character other than/],
  ['a/b', /a character other than/],
  ['täglich', /a character other than/],
  ['a\n', /"a\\n" has a character/],
])('%j is refused', (name, problem) => {
  expect(topicNameProblem(name)).toMatch(problem);
});

test("'.' and '_' collide, other names do not take part", () => {
  expect(collisionKey('a.b_c')).toBe(collisionKey('a_b.c'));
  expect(collisionKey('abc')).toBeUndefined();
  expect(isInternalTopic('__consumer_offsets')).toBe(true);
  expect(isInternalTopic('clicks')).toBe(false);
});

test('random ids are version 4 UUIDs in base64url that no command line takes for an option', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const id = randomUuid(new SeededRandom(seed));
      expect(isUuid(id)).toBe(true);
      expect(id).not.toMatch(/^-/);
      const bytes = Buffer.from(id, 'base64url');
      expect(bytes.toString('base64url')).toBe(id);
      expect(bytes).toHaveLength(16);
      expect([(bytes[6] ?? 0) >> 4, (bytes[8] ?? 0) >> 6]).toEqual([4, 2]);
    }),
  );
});
