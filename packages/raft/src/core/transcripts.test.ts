/**
 * Readable scenarios: transcripts/*.txt. UPDATE_TRANSCRIPTS=1 rewrites the outputs, to be reviewed by eye.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTranscript } from './test-kit/transcript.js';

const directory = join(__dirname, 'transcripts');

describe('transcripts', () => {
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.txt'))) {
    it(name, () => {
      const file = join(directory, name);
      const expected = readFileSync(file, 'utf8');
      const actual = runTranscript(expected);
      if (process.env.UPDATE_TRANSCRIPTS === '1') writeFileSync(file, actual);
      else expect(actual).toBe(expected);
    });
  }
});
