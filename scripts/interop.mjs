// `npm run interop`: the clients of examples/clients in every language that is installed, also in those that
// take minutes to build the first time. `npm test` leaves those out until they are built.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { status } = spawnSync(process.execPath, [path.join(root, 'node_modules/jest/bin/jest.js'), 'test/interop'], {
  cwd: root,
  env: { ...process.env, BARNABAS_INTEROP: 'all' },
  stdio: 'inherit',
});
process.exit(status ?? 1);
