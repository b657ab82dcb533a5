import { assert, InvariantError, present } from './assert.js';

it('passes what holds and names the facts of what does not', () => {
  assert(true, 'never seen');
  expect(() => assert(false, 'high watermark never falls', { from: 7, to: 5 })).toThrow(
    new InvariantError('high watermark never falls {"from":7,"to":5}'),
  );
  expect(present(0, 'zero is there')).toBe(0);
  expect(() => present(undefined, 'the leader')).toThrow('the leader must be present');
});
