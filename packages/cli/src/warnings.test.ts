import { noting } from './warnings.js';

test('warnings are lines with what to do, and the same one is not said again at once', () => {
  const lines: string[] = [];
  let now = 0;
  const logger = noting(
    (text) => void lines.push(text),
    () => now,
  );
  const warn = () => logger.child({ role: 'x' }).warn('no node answers', { error: 'refused', action: 'start one' });
  warn();
  now = 29_999;
  warn();
  expect(lines).toEqual(['warning: no node answers (refused): start one']);
  now = 30_000;
  warn();
  logger.error('it broke', { error: new Error('disk'), action: 'look' });
  logger.info('hello');
  expect(lines.slice(1)).toEqual(['warning: no node answers (refused): start one', 'warning: it broke (disk): look']);
});
