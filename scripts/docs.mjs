// Writes the pages of docs/ that are made from code: docs/errors.md from the error table,
// docs/configuration-keys.md from the configuration definitions. `--check` compares instead.
// Needs a build.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const load = (where) => require(path.join(root, where, 'dist/index.js'));

const HEADINGS = {
  'fix-request': 'Fix the request: the same one fails again',
  'refresh-metadata': 'Refresh metadata, then retry',
  'retry-elsewhere': 'Refresh metadata and retry on another node',
  'back-off': 'Back off and retry',
  'reset-offset': 'Choose another position',
  'retry-if-idempotent': 'Retry only if idempotent: the server may have acted',
  stop: 'Stop: this producer, member or session is over',
  rejoin: 'Join the group again',
  'slow-down': 'Slow down',
  report: 'Tell a person: the server failed or data was lost',
};

function errorsPage() {
  const { ERRORS } = load('packages/protocol');
  const rows = Object.entries(ERRORS).sort(([, a], [, b]) => a.code - b.code);
  const actions = [...new Set(rows.map(([, entry]) => entry.action))];
  const lines = [
    '# Errors',
    '<!-- Made by npm run gen from packages/protocol/src/error-table.ts. -->',
    '',
    "Names and numbers are Apache Kafka's. Per-entry errors travel as `barnabas.v1.Error` in an OK response; when a whole call fails, its gRPC status is the one below, `grpc-status-details-bin` carries the same `Error`, and the trailer `barnabas-error-code` its name. Act on the code, never on the text.",
    '',
  ];
  for (const action of actions) {
    lines.push(
      `## ${HEADINGS[action] ?? action}`,
      '',
      '| code | number | retriable | gRPC status | meaning |',
      '|---|---|---|---|---|',
    );
    for (const [name, entry] of rows) {
      if (entry.action !== action) continue;
      lines.push(
        `| ${name} | ${entry.code} | ${entry.retriable ? 'yes' : 'no'} | ${entry.status} | ${entry.meaning} |`,
      );
    }
    lines.push('');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function keysPage() {
  const definitions = [
    ['controller', load('services/controller').controllerConfig],
    ['broker', load('services/broker').brokerConfig],
    ['gateway', load('services/gateway').gatewayConfig],
  ];
  const lines = [
    '# Configuration keys',
    '<!-- Made by npm run gen from the definitions in services/*/src/config.ts. -->',
    '',
    'How values are given, and what forms they take: [configuration.md](configuration.md). Of the keys that must be given, `barnabas start` fills in `node.id` (1, or what the data directory says), `metadata.log.dir` and `log.dir` (in `--data-dir`), and `controller.quorum.voters` where a controller runs in the same process; it listens on 127.0.0.1 unless told otherwise.',
    '',
  ];
  for (const [role, definition] of definitions) {
    lines.push(`## ${role}`, '', '| key | default | type and meaning |', '|---|---|---|');
    for (const key of definition.describe()) lines.push(keyRow(key));
    lines.push('');
  }
  lines.push('## topic', '', 'Given to a topic when it is created, or changed while the cluster runs.', '');
  lines.push('| key | default | type and meaning |', '|---|---|---|');
  for (const key of load('packages/metadata').topicConfig.describe()) lines.push(keyRow(key));
  return `${lines.join('\n')}\n`;
}

function keyRow({ key, type, defaultValue, required, allowed, dynamic, doc }) {
  const cell = (text) => text.replaceAll('|', '\\|');
  const shown = required ? 'must be given' : defaultValue === null ? 'not set' : `\`${cell(defaultValue)}\``;
  const changeable = dynamic ? ' May be changed while the node runs.' : '';
  return `| \`${key}\` | ${shown} | ${type}: ${cell(allowed)}. ${cell(doc)}${changeable} |`;
}

const pages = { 'docs/errors.md': errorsPage, 'docs/configuration-keys.md': keysPage };

const check = process.argv.includes('--check');
const stale = [];
for (const [file, make] of Object.entries(pages)) {
  const target = path.join(root, file);
  const text = make();
  if (!check) fs.writeFileSync(target, text);
  else if (!fs.existsSync(target) || fs.readFileSync(target, 'utf8') !== text) stale.push(file);
}
if (stale.length > 0) {
  console.error(`${stale.join(', ')} not in step with the code: run npm run gen and commit the result`);
  process.exit(1);
}
