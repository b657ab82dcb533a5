import { silentLogger } from '@barnabas/common';
import type { LogFacts } from '@barnabas/common';
import { GatheredLog } from './gathered-log.js';

let lines: [string, LogFacts][];
let log: GatheredLog;

beforeEach(() => {
  lines = [];
  log = new GatheredLog({ ...silentLogger, info: (message, facts = {}) => void lines.push([message, facts]) });
});

it('writes a few lines as they are, at the end of the turn', () => {
  log.info('changed', { topic: 'a', partition: 0 });
  log.info('cut', { topic: 'b' });
  log.info('changed', { topic: 'a', partition: 1 });
  expect(lines).toEqual([]);
  log.flush();
  expect(lines).toEqual([
    ['changed', { topic: 'a', partition: 0 }],
    ['changed', { topic: 'a', partition: 1 }],
    ['cut', { topic: 'b' }],
  ]);
  log.flush();
  expect(lines).toHaveLength(3);
});

it('makes one line of many, with their count and the first of them', () => {
  for (let partition = 0; partition < 1000; partition++) log.info('changed', { topic: 'a', partition });
  log.flush();
  expect(lines).toEqual([['changed', { partitions: 1000, firstTopic: 'a', firstPartition: 0 }]]);
});
