// A lock file that names a mirror works only where the mirror is reached.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const file = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'package-lock.json');
const hosts = new Set();
for (const entry of Object.values(JSON.parse(fs.readFileSync(file, 'utf8')).packages)) {
  if (/^[a-z+]+:\/\//.test(entry.resolved ?? '')) hosts.add(new URL(entry.resolved).host);
}
hosts.delete('registry.npmjs.org');
if (hosts.size > 0) {
  console.error(
    `package-lock.json resolves packages from ${[...hosts].join(', ')}; only the public default is allowed`,
  );
  process.exit(1);
}
