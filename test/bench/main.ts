/**
 * `npm run bench`: in one run, what this machine can do at best and what Barnabas does on it. Prints
 * a table and writes JSON (`--json FILE`, default bench.json in the temporary directory).
 *
 * `--only log`, `--only controller`, `--only replication` or `--only groups` measures one part.
 *
 * `--short` moves a tenth of the data: for CI, where only that it runs is of interest. Figures are
 * ratios within the run; a machine's absolute numbers drift. `--check` ends with 1 where a goal is
 * missed; never used in tests.
 *
 * What is measured, its rows and its goals are each part's own.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { benchController } from './controller-rows.js';
import { benchGroups } from './groups-rows.js';
import { benchLog } from './log-rows.js';
import { MiB } from './measure.js';
import { benchReplication } from './replication-rows.js';
import { Rows } from './rows.js';
import type { Bench } from './rows.js';

/** In the order in which they are measured. */
const PARTS: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  log: benchLog,
  controller: benchController,
  replication: benchReplication,
  groups: benchGroups,
};

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean' },
      check: { type: 'boolean' },
      json: { type: 'string' },
      only: { type: 'string' },
    },
  });
  const scale = values.short === true ? 0.1 : 1;
  const rows = new Rows();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'barnabas-bench-'));
  try {
    for (const [name, part] of Object.entries(PARTS)) {
      if (values.only !== undefined && values.only !== name) continue;
      await part({ rows, directory, bytes: 512 * MiB * scale, scale });
    }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
  rows.report(values.json ?? path.join(os.tmpdir(), 'bench.json'));
  return values.check === true && rows.missesGoals ? 1 : 0;
}

void main().then((code) => {
  process.exitCode = code;
});
