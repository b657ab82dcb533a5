import fc from 'fast-check';
import { formatOffsets, parseOffsets } from './reset-file.js';

const row = fc.record({
  groupId: fc
    .string({ minLength: 1, unit: fc.constantFrom('a', 'B', '-', ' ', ',', '"', 'é') })
    .filter((text) => text.trim() === text && text !== ''),
  topic: fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/),
  partition: fc.nat(100),
  offset: fc.nat(),
});

test('what is exported is read again', () => {
  const rows = fc.uniqueArray(row, {
    minLength: 1,
    selector: ({ topic, partition, groupId }) => `${groupId}/${topic}/${partition}`,
  });
  fc.assert(
    fc.property(rows, (offsets) => {
      expect(parseOffsets(formatOffsets(offsets, false), 'f')).toEqual(offsets);
    }),
  );
  const ofOne = fc.uniqueArray(row, { minLength: 1, selector: ({ topic, partition }) => `${topic}/${partition}` });
  fc.assert(
    fc.property(ofOne, (offsets) => {
      const bare = offsets.map((one) => ({ ...one, groupId: undefined }));
      expect(parseOffsets(formatOffsets(offsets, true), 'f')).toEqual(bare);
    }),
  );
});

test('files of Kafka’s tool are read, with quotes, blank lines and carriage returns', () => {
  expect(parseOffsets('"clicks",0,5\r\n\r\n clicks , 1 , 6\r\n', 'f')).toEqual([
    { groupId: undefined, topic: 'clicks', partition: 0, offset: 5 },
    { groupId: undefined, topic: 'clicks', partition: 1, offset: 6 },
  ]);
});

test.each([
  ['', 'it is empty'],
  ['clicks,0', 'line 1 is "clicks,0"'],
  ['clicks,0,1\nclicks,x,1', 'line 2 is'],
  ['clicks,0,-1', 'line 1 is'],
  ['g,clicks,0,1,2', 'line 1 is'],
  [',0,1', 'line 1 is'],
  ['"clicks,0,1', 'line 1 is'],
  ['clicks,0,1\nclicks,0,2', 'clicks-0 stands in it twice'],
])('%j is refused', (text, message) => {
  expect(() => parseOffsets(text, 'offsets.csv')).toThrow(message);
  expect(() => parseOffsets(text, 'offsets.csv')).toThrow('offsets.csv has no offsets that can be read');
});
