import { PassThrough } from 'node:stream';
import { Screen } from './screen.js';

function screen(rows: number, columns: number): { readonly drawn: string[]; readonly screen: Screen } {
  const drawn: string[] = [];
  const terminal = Object.assign(new PassThrough(), { rows, columns });
  return { drawn, screen: new Screen(terminal, (text) => drawn.push(text)) };
}

test('each drawing goes over the one before, also over a longer one', () => {
  const { drawn, screen: on } = screen(24, 80);
  on.draw(['a', 'b', 'c']);
  on.draw(['d']);
  on.draw(['e']);
  expect(drawn).toEqual(['\r\u001B[Ja\nb\nc\n', '\u001B[3A\r\u001B[Jd\n', '\u001B[1A\r\u001B[Je\n']);
});

test('what the terminal has no room for is cut, and counted', () => {
  const { drawn, screen: on } = screen(4, 5);
  on.draw(['1234567', '2', '3', '4', '5']);
  expect(drawn).toEqual(['\r\u001B[J12345\n2\n… 3 m\n']);
  on.draw(['x']);
  expect(drawn[1]).toBe('\u001B[3A\r\u001B[Jx\n');
});
