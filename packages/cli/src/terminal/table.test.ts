import { formatTable } from './table.js';

test('columns are aligned, numbers to the right, without trailing spaces', () => {
  const table = formatTable(
    ['topic', 'partitions', 'note'],
    [
      ['clicks', '8', 'a'],
      ['x', '12', ''],
    ],
  );
  expect(table).toBe(['TOPIC   PARTITIONS  NOTE', 'clicks           8  a', 'x               12'].join('\n'));
});

test('a table without rows is its head', () => {
  expect(formatTable(['a', 'b'], [])).toBe('A  B');
});
