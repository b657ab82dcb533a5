/**
 * `npm run groups -- --minutes N --seed S`: members of one group in several languages, while members,
 * gateways and brokers are killed, paused and cut off; then everything is healed and the history is judged.
 * docs/testing-groups.md says how to read what it prints. Ends with 1 at the first anomaly, keeping data and
 * logs.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { describe } from '../chaos/plan.js';
import { canTellOwners } from '../support/socket-owner.js';
import { GROUP_FAULT_KINDS, GROUP_FAULTS, isOfLink } from './faults.js';
import type { GroupFaultKind } from './faults.js';
import { plan, run } from './run.js';
import { DEFAULT_MEMBERS, KNOWN_MEMBERS } from './stage.js';

const HELP = `npm run groups -- [options]

  --minutes N           how long faults go on (default 5)
  --seed S              the plan of faults (default 1)
  --faults a,b,c        only these (default all); --faults none for a run without
  --members N           (default 12)
  --languages a,b,c     of the members, in turn (default ${DEFAULT_MEMBERS.join(',')}; there are ${KNOWN_MEMBERS.join(', ')})
  --static              members have instance ids
  --partitions N        (default 24)
  --brokers N           (default 3)
  --controllers N       (default 1)
  --gateways N          (default 2)
  --rate N              records a second (default 600)
  --set KEY=VALUE       configuration of every node; may be repeated
  --data-dir DIR        keep data and logs here (default: a temporary directory, removed after a good run)
  --log-level LEVEL     of the nodes (default info)
  --explain             print the plan of faults and end

faults:
${GROUP_FAULT_KINDS.map((kind) => `  ${kind.padEnd(26)}${GROUP_FAULTS[kind]}`).join('\n')}
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string', default: '1' },
      faults: { type: 'string', default: GROUP_FAULT_KINDS.join(',') },
      members: { type: 'string', default: '12' },
      languages: { type: 'string', default: DEFAULT_MEMBERS.join(',') },
      static: { type: 'boolean', default: false },
      partitions: { type: 'string', default: '24' },
      brokers: { type: 'string', default: '3' },
      controllers: { type: 'string', default: '1' },
      gateways: { type: 'string', default: '2' },
      rate: { type: 'string', default: '600' },
      set: { type: 'string', multiple: true, default: [] },
      'data-dir': { type: 'string' },
      'log-level': { type: 'string', default: 'info' },
      explain: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const planned = {
    seed: Number(values.seed),
    faultMs: Number(values.minutes) * 60_000,
    kinds: possible(kindsOf(values.faults)),
  };
  if (values.explain) {
    for (const fault of plan(planned)) console.log(describe(fault));
    return 0;
  }
  const dataDir = emptyDirectory(values['data-dir']);
  const code = await run({
    ...planned,
    members: Number(values.members),
    languages: values.languages.split(','),
    areStatic: values.static,
    partitions: Number(values.partitions),
    brokers: Number(values.brokers),
    controllers: Number(values.controllers),
    gateways: Number(values.gateways),
    recordsPerSecond: Number(values.rate),
    set: Object.fromEntries(values.set.map((assignment) => assignment.split(/=(.*)/s).slice(0, 2) as [string, string])),
    dataDir,
    logLevel: values['log-level'],
    isNetworkFaulty: planned.kinds.some(isOfLink),
  });
  if (code === 0 && values['data-dir'] === undefined) rmSync(dataDir, { recursive: true, force: true });
  return code;
}

function emptyDirectory(given: string | undefined): string {
  if (given === undefined) return mkdtempSync(path.join(os.tmpdir(), 'barnabas-groups-'));
  mkdirSync(given, { recursive: true });
  if (readdirSync(given).length > 0) throw new Error(`${given} is not empty: every run founds a cluster of its own`);
  return given;
}

/** Who dials must be known, or it is not known whose link is to be cut. */
function possible(kinds: readonly GroupFaultKind[]): readonly GroupFaultKind[] {
  if (canTellOwners || !kinds.some(isOfLink)) return kinds;
  console.log('faults of links are left out: they need Linux, where /proc tells which process dials');
  return kinds.filter((kind) => !isOfLink(kind));
}

function kindsOf(list: string): readonly GroupFaultKind[] {
  if (list === 'none') return [];
  return list.split(',').map((name) => {
    const kind = GROUP_FAULT_KINDS.find((known) => known === name.trim());
    if (kind === undefined) throw new Error(`there is no fault ${name}: choose from ${GROUP_FAULT_KINDS.join(', ')}`);
    return kind;
  });
}

void main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
