/** Tables for people: aligned columns, no frames, so that they survive a narrow terminal and `awk`. */
import Table from 'cli-table3';

const PLAIN = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Lines of a table with its head in capitals. Columns of nothing but numbers stand to the right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const colAligns = head.map((_, column) => {
    const numeric = rows.length > 0 && rows.every((row) => /^-?[\d.,]+%?$/.test(row[column] ?? ''));
    return numeric ? ('right' as const) : ('left' as const);
  });
  const table = new Table({
    head: head.map((title) => title.toUpperCase()),
    chars: PLAIN,
    colAligns,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
