/**
 * `npm run chaos -- --minutes N --seed S`: a cluster of processes, writers and readers, and a seeded
 * plan of faults; then everything is healed, every partition is read from its beginning, and the
 * history is judged. docs/testing-chaos.md says how to read what it prints. Ends with 1 at the first
 * anomaly that the API does not declare, keeping data and logs.
 */
import { parseArgs } from 'node:util';
import { run } from './run.js';
import { FAULT_KINDS, FAULTS } from './plan.js';
import type { FaultKind } from './plan.js';

const HELP = `npm run chaos -- [options]

  --minutes N           how long faults go on (default 5)
  --seed S              the plan of faults (default 1)
  --faults a,b,c        only these (default all); --faults none for a run without
  --brokers N           (default 3)
  --controllers N       (default 3)
  --gateways N          (default 2)
  --replication N       replicas of each partition (default 3, at most the brokers)
  --min-insync N        min.insync.replicas (default 2, at most the replicas)
  --partitions N        (default 6)
  --rate N              records a second, of all writers together (default 600)
  --set KEY=VALUE       configuration of every node; may be repeated
  --data-dir DIR        keep data and logs here (default: a temporary directory, removed after a good run)
  --log-level LEVEL     of the nodes (default info)
  --explain             print the plan of faults and end

faults:
${FAULT_KINDS.map((kind) => `  ${kind.padEnd(22)}${FAULTS[kind]}`).join('\n')}
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string', default: '1' },
      faults: { type: 'string', default: FAULT_KINDS.join(',') },
      brokers: { type: 'string', default: '3' },
      controllers: { type: 'string', default: '3' },
      gateways: { type: 'string', default: '2' },
      replication: { type: 'string', default: '3' },
      'min-insync': { type: 'string', default: '2' },
      partitions: { type: 'string', default: '6' },
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
  const brokers = Number(values.brokers);
  const replication = Math.min(Number(values.replication), brokers);
  return run({
    seed: Number(values.seed),
    faultMs: Number(values.minutes) * 60_000,
    kinds: kindsOf(values.faults),
    shape: { brokers, controllers: Number(values.controllers), gateways: Number(values.gateways) },
    replication,
    minInsync: Math.min(Number(values['min-insync']), replication),
    partitions: Number(values.partitions),
    recordsPerSecond: Number(values.rate),
    set: Object.fromEntries(values.set.map((assignment) => assignment.split(/=(.*)/s).slice(0, 2) as [string, string])),
    dataDir: values['data-dir'],
    logLevel: values['log-level'],
    isExplanation: values.explain,
  });
}

function kindsOf(list: string): readonly FaultKind[] {
  if (list === 'none') return [];
  return list.split(',').map((name) => {
    const kind = FAULT_KINDS.find((known) => known === name.trim());
    if (kind === undefined) throw new Error(`there is no fault ${name}: choose from ${FAULT_KINDS.join(', ')}`);
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
