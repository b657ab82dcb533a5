import { messageOf } from './node-process.js';

test.each([
  [
    '{"error":{"code":"INVALID_CONFIG","message":"unknown configuration key \\"x\\""}}',
    'unknown configuration key "x" [INVALID_CONFIG]',
  ],
  ['{"error":{"code":null,"message":"no disk"}}', 'no disk'],
  ['{"level":"error","msg":"The broker stops"}', 'The broker stops'],
  ['{"level":"error"}', '{"level":"error"}'],
  ['Segmentation fault', 'Segmentation fault'],
])('what a node said last is told in words: %s', (line, text) => {
  expect(messageOf(line)).toBe(text);
});
