/** docs/client-typescript.md lists every option with its default and Kafka's name. */
import fs from 'node:fs';
import path from 'node:path';
import { CONNECTION_OPTIONS } from './connection-options.js';
import { CONSUMER_OPTIONS } from './consumer-options.js';
import type { OptionSpec } from './option-table.js';
import { PRODUCER_OPTIONS } from './producer-options.js';

const page = fs.readFileSync(path.join(__dirname, '../../../../docs/client-typescript.md'), 'utf8');
const options: [string, OptionSpec<unknown>][] = [PRODUCER_OPTIONS, CONSUMER_OPTIONS, CONNECTION_OPTIONS].flatMap(
  (table) => Object.entries<OptionSpec<unknown>>(table),
);

test.each(options)('%s', (name, { kafka, default: value }) => {
  const rows = page.split('\n').filter((line) => line.startsWith(`| \`${name}\` |`));
  expect(rows.length).toBeGreaterThan(0);
  if (kafka !== undefined) expect(rows.some((row) => row.includes(kafka))).toBe(true);
  const isPlain = typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean';
  if (isPlain)
    expect(rows.some((row) => row.includes(`| ${typeof value === 'string' ? `\`'${value}'\`` : value}`))).toBe(true);
});
